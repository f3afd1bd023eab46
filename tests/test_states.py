"""The machines of states that the quick tests run, with more examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.server.test_admission_states import AdmissionMachine
from tests.upstream.test_dial_states import DialMachine
from tests.upstream.test_queue_states import QueueMachine

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("machine", [AdmissionMachine, DialMachine, QueueMachine])
def test_what_always_holds_does_so_at_leisure(machine: type[RuleBasedStateMachine]) -> None:
    """In ten times as many orders of events as the quick tests try."""
    settings = hypothesis.settings(max_examples=500, stateful_step_count=40)
    run_state_machine_as_test(machine, settings=settings)
