"""Time as an event loop has it, so that what waits can be tested with a clock that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """What is due later."""

    def cancel(self) -> None:
        """Make it not happen."""


class Clock(Protocol):
    """The part of an event loop that knows the time; asyncio.AbstractEventLoop has it."""

    def time(self) -> float:
        """Return the monotonic time, in seconds."""

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> Timer:
        """Call *callback* after *delay* seconds."""
