"""Looks at files beside the event loop, by a helper process: see `config.in_time` for why not in a thread."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ambassador.config import files
from ambassador.config.in_time import answers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ambassador.config.files import Look

_PART = 1 << 16


class Looks:
    """Looks at some files whenever it is told to. Owns the helper, which is there from the first look on.

    *done* is called with what a look has found: with fewer looks than files if it came to no end.

    Attributes:
        busy: a look is under way, or its helper has yet to end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, paths: Sequence[str], done: Callable[[Sequence[Look]], None]
    ) -> None:
        self._loop = loop
        self._paths = paths
        self._done = done
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = bytearray()
        self._answered = 0
        self.busy = False

    def start(self) -> None:
        """Begin to look at all files; none must be under way.

        Raises:
            OSError: there is no room for the helper.
        """
        process = self._process or self._start_helper()
        assert process.stdin is not None  # noqa: S101 - as it was started
        self.busy, self._lines, self._answered = True, bytearray(), 0
        with contextlib.suppress(BrokenPipeError):  # it has ended, which comes to light when it is listened to
            process.stdin.write(json.dumps(self._paths).encode() + b"\n")  # which fits into a pipe: paths are short

    def missing(self) -> str:
        """Return the path of the first file that there is no answer for yet."""
        return self._paths[min(self._answered, len(self._paths) - 1)]

    def give_up(self) -> None:
        """Kill a helper that hangs. There is no other before it has ended, so that nothing piles up."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the helper, and wait no longer for it than it takes to kill what does not hang in the kernel."""
        if self._process is not None:
            self._process.kill()
            self._leave(self._process)

    def _start_helper(self) -> subprocess.Popen[bytes]:
        """Start it: a program of its own, not a fork, since it can be left behind, and must not hold our sockets."""
        process = subprocess.Popen(  # noqa: S603 - this interpreter, with a file of this package
            [sys.executable, "-I", "-S", files.__file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Signals of a terminal are not for it. It also makes Python fork, as `upstream.helper` has it.
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - as it was started
        os.set_blocking(process.stdout.fileno(), False)
        self._loop.add_reader(process.stdout.fileno(), self._receive)
        self._process = process
        return process

    def _receive(self) -> None:
        """Take what the helper says. At its end a look is over, whether it has said all or not."""
        process = self._process
        assert process is not None  # noqa: S101 - it has just said something
        assert process.stdout is not None  # noqa: S101 - as it was started
        part = os.read(process.stdout.fileno(), _PART)
        self._lines += part
        self._answered += part.count(b"\n")
        if not part:
            self._leave(process)
        if self.busy and (not part or self._answered == len(self._paths)):
            found, self._lines, self.busy = answers(bytes(self._lines)), bytearray(), False
            self._done(found)

    def _leave(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - as it was started
        assert process.stdout is not None  # noqa: S101 - as it was started
        self._loop.remove_reader(process.stdout.fileno())
        process.stdin.close()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(files.KILLED)
        self._process = None
