"""Whom the admin server sends away, as lines of the log: what an investigator wants to know, and no more than that."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from ambassador.net.printable import printable

log = structlog.get_logger()

# Seconds between two lines: whoever is refused, again and again, must not fill the log.
_PAUSE: Final = 1.0
# Characters. Every path here is shorter.
_LONGEST_PATH: Final = 100


class Refusals:
    """Write a line a second at most; the next one says how many refusals were left out since the last."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._latest: dict[str, object] = {}
        self._waiting = 0

    def say(self, by: str, reason: str, **request: object) -> None:
        """Take note that *by* was refused something, and why."""
        self._latest = {"by": by, **request, "reason": reason}
        self._waiting += 1
        if self._timer is None:
            self._write()

    def close(self) -> None:
        """Write what was not said yet."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting:
            self._write_line()

    def _write(self) -> None:
        self._timer = None
        if self._waiting:
            self._write_line()
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._write)

    def _write_line(self) -> None:
        others = {"unsaid": self._waiting - 1} if self._waiting > 1 else {}
        self._waiting = 0
        log.warning("admin.refused", **self._latest, **others)


def path_of(target: str) -> str:
    """Write the path of a request's target, printable and short, without its query, which may hold a secret."""
    return printable(target.partition("?")[0].encode("ascii", "backslashreplace").decode(), _LONGEST_PATH)
