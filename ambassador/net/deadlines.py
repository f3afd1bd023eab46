"""Deadlines for many owners with one timer, where a twentieth of a second is precise enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ambassador.net.clock import Clock

# Seconds. Dials are timed in hundreds of milliseconds and up; a timer of the event loop for each would cost more.
TICK = 0.05
# Seconds. A tick that comes this late was not kept waiting by work: the process was stopped, or frozen.
_SLEPT = 1.0


class Expiring(Protocol):
    """What has a deadline. Hashable by identity: it is the key of its own deadline."""

    def expire(self) -> None:
        """Act on the deadline, which has passed and is cleared already. May set a new one."""


class Deadlines:
    """Keep at most one deadline per owner, and call its `expire` within `TICK` after it has passed.

    An `expire` that raises costs no other owner its call: those that are left are called a tick later.

    Attributes:
        slept: while `expire` is called: the process was stopped as these deadlines passed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._when: dict[Expiring, float] = {}
        self._ticking = False
        self._due = 0.0
        self.slept = False

    def set(self, owner: Expiring, when: float) -> None:
        """Set or move the owner's deadline to the clock's time *when*."""
        self._when[owner] = when
        if not self._ticking:
            self._ticking = True
            self._tick_later()

    def clear(self, owner: Expiring) -> None:
        """Drop the owner's deadline, if it has one."""
        self._when.pop(owner, None)

    def _tick(self) -> None:
        # If one owner raises, the others still expire: with the next tick.
        now = self._clock.time()
        self.slept = now - self._due > _SLEPT
        try:
            self._expire(now)
        finally:
            self.slept = False
            self._ticking = bool(self._when)
            if self._ticking:
                self._tick_later()

    def _tick_later(self) -> None:
        self._due = self._clock.time() + TICK
        self._clock.call_later(TICK, self._tick)

    def _expire(self, now: float) -> None:
        for owner in [owner for owner, when in self._when.items() if when <= now]:
            if self._when.get(owner, now + 1) <= now:
                del self._when[owner]
                owner.expire()
