"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

from ambassador.net.deadlines import Deadlines
from tests.support.deadline import soon


class Owner:
    """Note when the deadline has passed, and do what the test wants then."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.expired: list[float] = []
        self.clears: list[Owner] = []
        self.sets: float | None = None

    def expire(self) -> None:
        """Note it."""
        self.expired.append(asyncio.get_running_loop().time())
        for other in self.clears:
            self.deadlines.clear(other)
        if self.sets is not None:
            self.deadlines.set(self, self.sets)
            self.sets = None


async def test_a_deadline_passes_once_and_not_before_its_time() -> None:
    """Each owner is told once, after its deadline."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    owners = [Owner(deadlines) for _ in range(20)]
    times = {owner: loop.time() + 0.01 * number for number, owner in enumerate(owners)}
    for owner, when in times.items():
        deadlines.set(owner, when)
    await soon(lambda: all(owner.expired for owner in owners))
    await asyncio.sleep(0.12)
    for owner, when in times.items():
        (expired,) = owner.expired
        assert expired >= when


async def test_a_cleared_deadline_never_passes_and_a_moved_one_later() -> None:
    """Clearing drops a deadline, setting it again moves it."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    cleared, moved, last = Owner(deadlines), Owner(deadlines), Owner(deadlines)
    deadlines.set(cleared, loop.time())
    deadlines.set(moved, loop.time())
    when = loop.time() + 0.2
    deadlines.set(moved, when)
    deadlines.clear(cleared)
    deadlines.clear(cleared)
    deadlines.set(last, loop.time() + 0.3)
    await soon(lambda: last.expired)
    assert cleared.expired == []
    assert moved.expired[0] >= when


async def test_one_that_expires_may_clear_another_that_is_due() -> None:
    """Of two deadlines due in one tick, the first owner's doing keeps the second from being told."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    first, second = Owner(deadlines), Owner(deadlines)
    first.clears = [second]
    now = loop.time()
    deadlines.set(first, now)
    deadlines.set(second, now)
    await soon(lambda: first.expired)
    await asyncio.sleep(0.12)
    assert second.expired == []
    deadlines.set(second, now)
    await soon(lambda: second.expired)


async def test_one_that_expires_may_set_itself_anew() -> None:
    """An owner that sets its deadline while it is told is told again."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    owner = Owner(deadlines)
    owner.sets = loop.time()
    deadlines.set(owner, loop.time())
    await soon(lambda: len(owner.expired) == 2)


async def test_without_deadlines_nothing_ticks() -> None:
    """Once the last deadline is gone the timer stops, and a new deadline starts it again."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    owner = Owner(deadlines)
    deadlines.set(owner, loop.time())
    await soon(lambda: owner.expired and not deadlines._ticking)
    deadlines.set(owner, loop.time())
    await soon(lambda: len(owner.expired) == 2)
