"""How long what was missed stands back, and who tries it then."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ambassador.upstream.eject import Ejection

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = 1.0


@pytest.fixture
def ejection(monkeypatch: pytest.MonkeyPatch) -> Ejection:
    """Return an ejection without jitter."""
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    return Ejection()


def again(ejection: Ejection, now: float, *, silent: bool) -> float:
    """Have it tried once its time is over, and missed at once; return the time until which it stands back then."""
    ejection.missed(now, BASE, silent=silent)
    until = now
    while ejection.stands_back(until):
        until += 0.25
    ejection.untried()
    return until


def test_what_was_missed_stands_back_and_is_then_tried_by_one(ejection: Ejection) -> None:
    """For its time it stands back for all, then for all but the first who asks, until that one says what came of it."""
    assert not ejection.stands_back(0.0)
    ejection.missed(10.0, BASE, silent=False)
    assert ejection.stands_back(10.9)
    assert not ejection.stands_back(11.0)
    assert ejection.stands_back(11.0)
    ejection.reached(11.1)
    assert not ejection.stands_back(11.1)
    assert not ejection.ejected


@pytest.mark.parametrize("told", [Ejection.untried, lambda ejection: ejection.missed(11.0, BASE, silent=False)])
def test_the_one_who_tries_lets_another_try(ejection: Ejection, told: Callable[[Ejection], object]) -> None:
    """When the one who was to try it has gone, or has missed it, there is another one to try it in time."""
    ejection.missed(10.0, BASE, silent=False)
    assert not ejection.stands_back(11.0)
    told(ejection)
    assert not ejection.stands_back(12.0)


def test_one_who_never_says_what_came_of_it_keeps_it_for_half_a_minute_only(ejection: Ejection) -> None:
    """A fault in the one who tries does not put the endpoint back for good."""
    ejection.missed(10.0, BASE, silent=False)
    assert not ejection.stands_back(11.0)
    assert ejection.stands_back(40.9)
    assert not ejection.stands_back(41.1)


def test_silence_costs_twice_as_long_each_time_up_to_half_a_minute(ejection: Ejection) -> None:
    """One that was silent stands back for 1, 2, 4, 8, 16, 30 and 30 seconds."""
    now, seconds = 0.0, []
    for _ in range(7):
        until = again(ejection, now, silent=True)
        seconds.append(until - now)
        now = until
    assert seconds == [1, 2, 4, 8, 16, 30, 30]


def test_a_refusal_costs_the_same_each_time(ejection: Ejection) -> None:
    """One that refused stands back for a second each time, since asking costs nothing, whatever it did before."""
    now = 0.0
    for silent, seconds in ((False, 1), (False, 1), (True, 1), (True, 2), (False, 1), (True, 4)):
        until = again(ejection, now, silent=silent)
        assert until - now == seconds
        now = until


def test_many_who_found_it_silent_together_are_one_miss(ejection: Ejection) -> None:
    """Twenty dials that were under way at once do not make half a minute of one second."""
    for _ in range(20):
        ejection.missed(10.0, BASE, silent=True)
    assert ejection.stands_back(10.9)
    assert not ejection.stands_back(11.0)


@pytest.mark.parametrize(("up", "seconds"), [(1.5, 4), (2.0, 1)])
def test_the_doubling_is_forgotten_once_it_was_up_as_long_as_it_was_ejected(
    ejection: Ejection, up: float, seconds: float
) -> None:
    """After an ejection of two seconds it takes two seconds of life to begin anew with one."""
    now = again(ejection, again(ejection, 0.0, silent=True), silent=True)
    ejection.reached(now)
    ejection.reached(now + 1.0)  # which is not when its life began
    assert again(ejection, now + up, silent=True) == now + up + seconds


def test_only_the_beginning_is_news() -> None:
    """How long it is ejected is told when that begins, not when it is renewed."""
    ejection = Ejection()
    assert ejection.missed(0.0, BASE, silent=False) == BASE
    assert ejection.missed(5.0, BASE, silent=False) == 0.0
    ejection.reached(6.0)
    assert ejection.missed(7.0, BASE, silent=False) == BASE


def test_silence_has_jitter_and_a_refusal_has_none() -> None:
    """A fleet that found an endpoint silent at once does not come again at once: within a fifth more or less."""
    seconds = [Ejection().missed(0.0, 10.0, silent=True) for _ in range(200)]
    assert 8.0 <= min(seconds) < 9.0
    assert 11.0 < max(seconds) <= 12.0
    assert {Ejection().missed(0.0, 10.0, silent=False) for _ in range(200)} == {10.0}


def test_a_base_of_more_than_half_a_minute_holds_for_silence_too(ejection: Ejection) -> None:
    """Silence never costs less than a refusal does."""
    assert ejection.missed(0.0, 60.0, silent=True) == 60.0
