"""A clock that stands still until the test moves it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeTimer:
    """What is due at a time of a fake clock."""

    def __init__(self, clock: FakeClock, due: float, call: Callable[[], object]) -> None:
        self._clock = clock
        self.due = due
        self.call = call

    def cancel(self) -> None:
        """Make it not happen; once it has happened, this does nothing."""
        if self in self._clock.timers:
            self._clock.timers.remove(self)


class FakeClock:
    """Time that passes only by `advance`, and takes none of the test's.

    Attributes:
        timers: what is due yet, in the order in which it was asked for.
    """

    def __init__(self) -> None:
        self._now = 1000.0  # not zero, which a fault could take for "never"
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        """Return the time, in seconds."""
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> FakeTimer:
        """Call *callback* once the clock has been moved on by *delay* seconds."""
        timer = FakeTimer(self, self._now + delay, lambda: callback(*arguments))
        self.timers.append(timer)
        return timer

    def freeze(self, seconds: float) -> None:
        """Let time pass while the whole process is stopped: what was due meanwhile happens late, at its end."""
        self._now += seconds
        self.advance(0)

    def advance(self, seconds: float) -> None:
        """Let time pass: whatever is due meanwhile happens in its order and at its time, and so does what it adds."""
        until = self._now + seconds
        while due := [timer for timer in self.timers if timer.due <= until]:
            first = min(due, key=lambda timer: timer.due)  # the earliest asked for among those of one time
            self.timers.remove(first)
            self._now = max(self._now, first.due)
            first.call()
        self._now = until
