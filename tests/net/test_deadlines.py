"""One timer for many deadlines."""

from __future__ import annotations

import pytest

from ambassador.net.deadlines import TICK, Deadlines
from tests.support.clock import FakeClock


class Owner:
    """Note when the deadline has passed, and do what the test wants then."""

    def __init__(self, clock: FakeClock, deadlines: Deadlines) -> None:
        self.clock = clock
        self.deadlines = deadlines
        self.expired: list[float] = []
        self.clears: list[Owner] = []
        self.sets: float | None = None
        self.fails = False
        self.slept: list[bool] = []

    def expire(self) -> None:
        """Note it."""
        self.expired.append(self.clock.time())
        self.slept.append(self.deadlines.slept)
        for other in self.clears:
            self.deadlines.clear(other)
        if self.sets is not None:
            self.deadlines.set(self, self.sets)
            self.sets = None
        if self.fails:
            raise LookupError("broken on purpose")


def test_a_deadline_passes_once_and_within_a_tick() -> None:
    """Each owner is told once, not before its deadline and no later than a tick after it."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    times = {Owner(clock, deadlines): clock.time() + 0.01 * number for number in range(20)}
    for owner, when in times.items():
        deadlines.set(owner, when)
    clock.advance(10)
    for owner, when in times.items():
        (expired,) = owner.expired
        assert when <= expired <= when + TICK


def test_a_cleared_deadline_never_passes_and_a_moved_one_later() -> None:
    """Clearing drops a deadline, setting it again moves it."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    cleared, moved = Owner(clock, deadlines), Owner(clock, deadlines)
    deadlines.set(cleared, clock.time())
    deadlines.set(moved, clock.time())
    when = clock.time() + 0.22
    deadlines.set(moved, when)
    deadlines.clear(cleared)
    deadlines.clear(cleared)
    clock.advance(0.2)
    assert moved.expired == []
    clock.advance(10)
    assert cleared.expired == []
    (expired,) = moved.expired
    assert when <= expired <= when + TICK


def test_one_that_expires_may_clear_another_that_is_due() -> None:
    """Of two deadlines due in one tick, the first owner's doing keeps the second from being told."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    first, second = Owner(clock, deadlines), Owner(clock, deadlines)
    first.clears = [second]
    deadlines.set(first, clock.time())
    deadlines.set(second, clock.time())
    clock.advance(10)
    assert (len(first.expired), second.expired) == (1, [])
    deadlines.set(second, clock.time())
    clock.advance(TICK)
    assert len(second.expired) == 1


def test_one_that_expires_may_set_itself_anew() -> None:
    """An owner that sets its deadline while it is told is told again, a tick later at the earliest."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    owner = Owner(clock, deadlines)
    owner.sets = clock.time()
    deadlines.set(owner, clock.time())
    clock.advance(TICK)
    assert len(owner.expired) == 1
    clock.advance(TICK)
    assert len(owner.expired) == 2


def test_a_fault_of_one_leaves_the_others_their_time() -> None:
    """An owner that fails while it is told is not told again, and another that was due with it is a tick later."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    faulty, other = Owner(clock, deadlines), Owner(clock, deadlines)
    faulty.fails = True
    deadlines.set(faulty, clock.time())
    deadlines.set(other, clock.time())
    with pytest.raises(LookupError):
        clock.advance(TICK)
    clock.advance(10)
    assert (len(faulty.expired), len(other.expired)) == (1, 1)


def test_without_deadlines_nothing_ticks() -> None:
    """Once the last deadline is gone the timer stops, and a new deadline starts it again."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    owner = Owner(clock, deadlines)
    for times in (1, 2):
        deadlines.set(owner, clock.time())
        assert len(clock.timers) == 1
        clock.advance(2 * TICK)
        assert len(owner.expired) == times
        assert clock.timers == []


@pytest.mark.parametrize(("seconds", "slept"), [(0.9, False), (1.2, True)])
def test_a_deadline_that_passed_while_all_was_stopped_is_told_from_others(seconds: float, slept: bool) -> None:  # noqa: FBT001 - a parameter
    """Owners learn that the process was stopped as their deadlines passed, and that it was not the next time."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    owner = Owner(clock, deadlines)
    for _ in range(2):
        deadlines.set(owner, clock.time() + 0.2)
        clock.freeze(seconds)
        assert owner.slept == [slept]
        deadlines.set(owner, clock.time() + 0.2)
        clock.advance(1.0)
        assert owner.slept.pop() is False
        owner.slept.clear()
