"""Run many scenarios at once: nearly all of a scenario's time is waiting."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from oracle.scenario import Amount
from oracle.stage import play
from oracle.subjects import direct_route, running
from oracle.verdict import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oracle.scenario import Scenario
    from oracle.subjects import Route, Subject
    from oracle.trace import Outcome

_AT_ONCE = 12
# Dials are given up after this many seconds; all but the scenarios about that need more time.
_PATIENT, _IMPATIENT = 10, 1


def direct_runs(scenario: Scenario, *, most: int = 20, seconds: float = 1.0) -> list[Outcome]:
    """Run *scenario* without a relay, *most* times or as often as *seconds* allow."""
    if scenario.apart:
        return []
    until = time.monotonic() + seconds
    runs = [play(scenario, direct_route(), direct=True)]
    while len(runs) < most and time.monotonic() < until:
        runs.append(play(scenario, direct_route(), direct=True))
    return runs


@contextmanager
def performing(subject: Subject, scenarios: Sequence[Scenario]) -> Iterator[dict[str, Future[Outcome]]]:
    """Start *subject* and all *scenarios* on it; yield the outcomes to come, by the scenarios' names."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))
        routes: dict[str, Route] = {}
        for dial_seconds in (_PATIENT, _IMPATIENT):
            some = [one.name for one in scenarios if one.impatient == (dial_seconds == _IMPATIENT)]
            if some:
                routes |= zip(
                    some, stack.enter_context(running(subject, len(some), dial_seconds=dial_seconds)), strict=True
                )
        yield {one.name: pool.submit(play, one, routes[one.name], direct=False) for one in _heavy_last(scenarios)}
        pool.shutdown(cancel_futures=True)


@contextmanager
def performing_direct(scenarios: Sequence[Scenario], *, seconds: float) -> Iterator[dict[str, Future[list[Outcome]]]]:
    """Start direct runs of all *scenarios*; yield the outcomes to come, by the scenarios' names."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {one.name: pool.submit(direct_runs, one, seconds=seconds) for one in _heavy_last(scenarios)}
        pool.shutdown(cancel_futures=True)


def judged(scenario: Scenario, direct: Sequence[Outcome], seen: Outcome, *, tunnel: bool = False) -> list[str]:
    """Compare *seen* with the direct runs: say how it differs from all of them."""
    if tunnel and scenario.tunnelled:
        return differences(replace(scenario, amount=Amount.ALL, allowed=(scenario.tunnelled,)), seen, seen)
    verdicts = [differences(scenario, one, seen) for one in direct] or [differences(scenario, seen, seen)]
    return min(verdicts, key=len)


def _heavy_last(scenarios: Sequence[Scenario]) -> list[Scenario]:
    return sorted(scenarios, key=lambda one: one.heavy)
