"""Every scenario through the ambassador, on both event loops and through a tunnel, compared with none in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from oracle.catalogue import SCENARIOS
from oracle.performance import judged, performing
from oracle.relays import AMBASSADORS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator
    from concurrent.futures import Future

    from oracle.scenario import Scenario
    from oracle.trace import Outcome

_RELAYS = dict(zip(("uvloop", "asyncio", "tunnel"), AMBASSADORS, strict=True))
# What a newcomer waits for: one relay, without stalls of seven seconds and hundreds of megabytes.
_SLOW_RELAYS = ("asyncio", "tunnel")
_SLOW = [name for name, one in SCENARIOS.items() if one.heavy or "7 s" in name]


def _marked(names: Iterable[str], slow: Container[str]) -> list[pytest.ParameterSet]:
    """Make a parameter of each name, marked where it is slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in names]


@pytest.fixture(scope="module")
def relay(request: pytest.FixtureRequest) -> str:
    """Return which relay is under test."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def seen(
    relay: str, wanted: Callable[[str], list[Scenario]], direct: dict[str, Future[list[Outcome]]]
) -> Iterator[dict[str, Future[Outcome]]]:
    """Start the ambassador and all of its scenarios, once the direct runs no longer need the machine."""
    if not _RELAYS[relay].version():
        pytest.skip(f"no {relay} with this Python")
    for runs in direct.values():
        runs.exception()
    with performing(_RELAYS[relay], wanted(relay)) as outcomes:
        yield outcomes


@pytest.mark.parametrize("scenario", _marked((name for name, one in SCENARIOS.items() if not one.apart), _SLOW))
def test_direct_runs_differ_only_in_what_is_excused(scenario: str, direct: dict[str, Future[list[Outcome]]]) -> None:
    """No direct run could be told from the first one by the comparison that a relay has to stand."""
    runs = direct[scenario].result()

    assert [judged(SCENARIOS[scenario], runs[:1], one) for one in runs] == [[]] * len(runs)


@pytest.mark.parametrize("scenario", _marked(SCENARIOS, _SLOW))
@pytest.mark.parametrize("relay", _marked(_RELAYS, _SLOW_RELAYS), indirect=True, scope="module")
def test_nobody_can_tell_the_ambassador_from_the_upstream(
    relay: str,
    scenario: str,
    direct: dict[str, Future[list[Outcome]]],
    seen: dict[str, Future[Outcome]],
) -> None:
    """Client and server see through the ambassador what they see of each other directly."""
    expected, outcome = direct[scenario].result(), seen[scenario].result()

    found = judged(SCENARIOS[scenario], expected, outcome, tunnel=relay == "tunnel")

    directly = f"directly:\n{expected[0]}\n" if expected else ""
    assert not found, f"{'; '.join(found)}\n{directly}through the ambassador:\n{outcome}"
