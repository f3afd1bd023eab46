"""Make the oracle importable; it is a program of its own (matrix.py), not part of the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from oracle.scenario import Scenario
    from oracle.trace import Outcome

    Direct = dict[str, Future[list[Outcome]]]

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def wanted(request: pytest.FixtureRequest) -> Callable[[str], list[Scenario]]:
    """Return the scenarios that the selected tests ask for, for one relay or (an empty name) for any."""
    from oracle.catalogue import SCENARIOS

    asked: dict[str, set[str]] = {}
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "scenario" in parameters:
            for relay in ("", parameters.get("relay", "")):
                asked.setdefault(relay, set()).add(parameters["scenario"])
    return lambda relay: [SCENARIOS[name] for name in SCENARIOS if name in asked.get(relay, ())]


@pytest.fixture(scope="session")
def direct(wanted: Callable[[str], list[Scenario]]) -> Iterator[Direct]:
    """Run the selected scenarios without a relay, in the background: 20 times each, or as often as a second allows."""
    from oracle.performance import performing_direct

    with performing_direct(wanted(""), seconds=1.0) as outcomes:
        yield outcomes
