"""Keys and certificates, read again at SIGHUP and when their files change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ambassador.config.in_time import LONGEST, late
from ambassador.errors import ConfigurationError, Problem
from ambassador.server.looks import Looks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from ambassador.config.files import Look
    from ambassador.server.tunnels import Tunnels

log = structlog.get_logger()

# The contract with users is ten seconds from a changed file to its use.
_LOOK_EVERY = 5.0
_NO_ROOM = "no process can be started to look at the files"
_ENDED = "the process that looks at the files has ended"


class Reloader:
    """Looks at the files of tunnels every few seconds, never on the event loop's thread: a file system may hang.

    One look at a time: while one hangs there is no other, so that nothing piles up. Owns the looks; `close` ends them.
    """

    def __init__(self, tunnels: Tunnels, loop: asyncio.AbstractEventLoop) -> None:
        self._tunnels = tunnels
        self._loop = loop
        self._looks = Looks(loop, tunnels.paths, self._over)
        self._deadline: asyncio.TimerHandle | None = None
        # Whether the look that is under way was asked for, and whether another one is due as soon as can be.
        self._forced = self._again = False
        # What kept a look from its end is told once, until one comes to its end, or somebody asks.
        self._told = False

    def watch(self) -> None:
        """Look for changed files for as long as the event loop turns, where there are any."""
        if self._tunnels.paths:
            self._loop.call_later(_LOOK_EVERY, self._look)

    def reload(self) -> None:
        """Read all files again, changed or not, and say what came of it."""
        if not self._tunnels.paths:
            return
        self._told = False
        if self._looks.busy:
            self._again = True  # what is under way may have read a file before it was changed
            self._set_deadline()
        else:
            self._begin(forced=True)

    def close(self) -> None:
        """End what looks at the files, as far as it can be ended."""
        self._end_deadline()
        self._looks.close()

    def _look(self) -> None:
        self.watch()  # first: whatever goes wrong in one look, there is a next
        if not self._looks.busy:
            self._begin(forced=self._again)

    def _begin(self, *, forced: bool) -> None:
        self._forced, self._again = forced, False
        try:
            self._looks.start()
        except OSError:
            self._tell(self._tunnels.paths[0], _NO_ROOM, "raise the pids limit")
        else:
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_later(LONGEST, self._late)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        """Tell of a look that hangs, and end it as far as possible."""
        self._deadline = None
        hanging = late(self._looks.missing())
        self._tell(hanging.path, hanging.wrong, "mend what is mounted there")
        self._looks.give_up()

    def _over(self, found: Sequence[Look]) -> None:
        """Use what a look has found. One that was asked for and did not come to its end is made again, later."""
        self._end_deadline()
        if len(found) < len(self._tunnels.paths):
            self._tell(self._tunnels.paths[len(found)], _ENDED, "see what has ended it")
            self._again = self._again or self._forced
            return
        self._told = False
        take(self._tunnels, found, force=self._forced)
        if self._again:
            self._begin(forced=True)

    def _tell(self, path: str, wrong: str, right: str) -> None:
        if not self._told:
            self._told = True
            _warn(self._tunnels.problem(path, wrong, right))


def take(tunnels: Tunnels, looks: Iterable[Look], *, force: bool) -> None:
    """Use keys and certificates if they changed, or if *force*; broken new ones are refused, and the old stay.

    Both ends of a tunnel and all choices of peers have the same files: each problem is told once.
    """
    from ambassador.tunnel.credentials import by_path

    changed = False
    problems: dict[Problem, None] = {}
    found = by_path(looks)
    for credentials in tunnels:
        try:
            changed = credentials.reload(found, force=force) or changed
        except ConfigurationError as error:
            problems.update(dict.fromkeys(error.problems))
    for problem in problems:
        _warn(problem)
    if changed:
        log.info("tunnel.reloaded")


def _warn(problem: Problem) -> None:
    log.warning("tunnel.reload_failed", variable=problem.variable, problem=str(problem))
