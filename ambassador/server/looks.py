"""One look at some files beside the event loop: in a thread, or by a process where no thread can be had."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from ambassador.config.files import look
from ambassador.config.in_time import answers, end_process, start_process

if TYPE_CHECKING:
    import asyncio
    import subprocess
    from collections.abc import Callable, Sequence

    from ambassador.config.files import Look

_PART = 1 << 16


class Looking:
    """A look that is under way. Owns what it is made by.

    *done* is called when it is over, never before this returns; then `missing` names the file that it could not get to
    an answer for, if any. A thread that hangs is left behind, and *done* is called if it ever comes back.

    Raises:
        OSError: there is neither a thread nor a process to be had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Sequence[str], done: Callable[[], None]) -> None:
        self._loop = loop
        self._paths = paths
        self._done = done
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = b""
        # Filled by the thread, one after the other; a list's append is atomic.
        self._found: list[Look] = []
        try:
            threading.Thread(target=self._look, name="look at files", daemon=True).start()
        except RuntimeError:
            self._start_process()

    @property
    def found(self) -> Sequence[Look]:
        """What has been found so far."""
        return self._found

    @property
    def missing(self) -> str | None:
        """The path of the first file that there is no answer for yet."""
        return self._paths[len(self._found)] if len(self._found) < len(self._paths) else None

    def give_up(self) -> None:
        """End what can be ended of a look that is late: a thread cannot."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Leave it alone: *done* is not called any more, but by a thread that has just come back."""
        if self._process is not None:
            process, self._process = self._process, None
            assert process.stdout is not None  # noqa: S101 - as it was started
            self._loop.remove_reader(process.stdout.fileno())
            end_process(process)

    def _look(self) -> None:
        for path in self._paths:
            self._found.append(look(path, in_folder=True))
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._done)

    def _start_process(self) -> None:
        self._process = start_process([(path, True) for path in self._paths])
        assert self._process.stdout is not None  # noqa: S101 - as it was started
        os.set_blocking(self._process.stdout.fileno(), False)
        self._loop.add_reader(self._process.stdout.fileno(), self._receive, self._process.stdout.fileno())

    def _receive(self, stdout: int) -> None:
        """Take what the process says. At its end it is over, whether it has said all or not."""
        part = os.read(stdout, _PART)
        self._lines += part
        if not part:
            self._found = answers(self._lines)
            self.close()
            self._done()
