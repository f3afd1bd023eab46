"""Deadlines for many owners with one timer, where a twentieth of a second is exact enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

# Dials are timed in hundreds of milliseconds and up; one handle of the event loop for each would cost more than this.
TICK = 0.05


class Expiring(Protocol):
    """Whoever can be late."""

    def expire(self) -> None:
        """Take note that the deadline has passed; it is cleared already."""


class Deadlines:
    """Keep at most one deadline an owner, and call its `expire` within `TICK` after it has passed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._when: dict[Expiring, float] = {}
        self._ticking = False

    def set(self, owner: Expiring, when: float) -> None:
        """Set or move the owner's deadline to the event loop's time *when*."""
        self._when[owner] = when
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)

    def clear(self, owner: Expiring) -> None:
        """Drop the owner's deadline, if it has one."""
        self._when.pop(owner, None)

    def _tick(self) -> None:
        # Whatever goes wrong with one owner, the others have their time.
        try:
            self._expire(self._loop.time())
        finally:
            self._ticking = bool(self._when)
            if self._ticking:
                self._loop.call_later(TICK, self._tick)

    def _expire(self, now: float) -> None:
        for owner in [owner for owner, when in self._when.items() if when <= now]:
            if self._when.get(owner, now + 1) <= now:
                del self._when[owner]
                owner.expire()
