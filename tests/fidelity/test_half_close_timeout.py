"""AMBASSADOR_HALF_CLOSE_TIMEOUT cuts what stands still, not what is slow."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from oracle.performance import direct_runs, judged, performing
from oracle.relays import AMBASSADORS
from oracle.scenario import close, end_of_stream, joined, pause, read_to_end, send
from oracle.subjects import Command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oracle.subjects import Route

_OURS = AMBASSADORS[0]


def _impatient(routes: Sequence[Route], dial_seconds: int, folder: Path) -> Sequence[Command]:
    commands = _OURS.commands(routes, dial_seconds, folder)
    return [Command(one.arguments, {**one.environment, "AMBASSADOR_HALF_CLOSE_TIMEOUT": "2s"}) for one in commands]


@pytest.mark.slow
def test_an_answer_that_trickles_is_not_cut() -> None:
    """An answer that takes more than twice the timeout, but never stands still for it, arrives whole."""
    trickle = (*(send(100), pause(0.05)) * 90, close())
    scenario = joined("made up", (end_of_stream(), read_to_end()), (read_to_end(), *trickle))
    relay = dataclasses.replace(_OURS, commands=_impatient)

    with performing(relay, [scenario]) as outcomes:
        direct = direct_runs(scenario, most=1)
        found = judged(scenario, direct, outcomes[scenario.name].result())

    assert found == []
