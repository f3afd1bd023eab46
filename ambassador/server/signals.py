"""What signals do to an ambassador, be it one process or several."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Stoppable(Protocol):
    """What signals act on."""

    def drain(self, reason: str) -> None:
        """Accept no more clients, and end when those that are here have ended."""

    def cut(self, reason: str) -> None:
        """Reset whoever is left, and end."""

    def reload(self) -> None:
        """Read again what may have changed."""


def handle_signals(loop: asyncio.AbstractEventLoop, target: Stoppable) -> None:
    """Drain at SIGTERM or SIGINT, whatever began a drain before it; cut at the second of them; reload at SIGHUP."""
    numbers = [signal.SIGTERM, signal.SIGINT]

    def first(number: signal.Signals) -> None:
        for other in numbers:
            loop.add_signal_handler(other, target.cut, "second signal")
        target.drain(number.name)

    for number in numbers:
        loop.add_signal_handler(number, first, number)
    loop.add_signal_handler(signal.SIGHUP, target.reload)
