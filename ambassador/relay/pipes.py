"""A bounded pool of pipes for splice(2), which moves bytes between sockets without copying them through us."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Protocol

# What a direction may move at once: a turn's share. Half of it costs a bulk stream a tenth more CPU; with twice as much
# the others wait for longer, and it saves a twentieth.
PIPE_BYTES = 512 * 1024
# pipe(7): past its share of pages (pipe-user-pages-soft) an unprivileged user gets pipes of a page or two, which are
# slower than copying.
_USEFUL_BYTES = 64 * 1024
# Descriptors, and the share of pages of others who run as the same user, come and go: ask again after so many seconds.
_ASK_PAUSE = 1.0
# A connection holds at most 300 KiB of memory, and may be stuck in both directions.
MOST_HELD = 128 * 1024
# pipe(7): how many pages of pipe a user may have, in all processes; 0 is no limit.
_USER_PAGES = Path("/proc/sys/fs/pipe-user-pages-soft")


class Borrower(Protocol):
    """Who borrows a pipe, and may be asked for it.

    Attributes:
        blocked: the sink has no room for what is in the pipe.
        moved: bytes that the sink took so far.
    """

    blocked: bool
    moved: int

    def hold_what_is_in(self, pipe: Pipe) -> None:
        """Take the bytes out of the pipe, and give it back."""


class Pipe:
    """A pipe and how many bytes are in it. Whoever took it from the pool closes it or gives it back empty.

    Attributes:
        filled: bytes in it.
        room: bytes that its sink is known to have room for.
        short: the last splice out of it took less than all.
        stuck_at: how much its borrower had moved when the last sweep found it blocked; None if it did not.
    """

    __slots__ = ("filled", "read_end", "room", "short", "size", "stuck_at", "write_end")

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.filled = 0
        self.room = 0
        self.short = False
        self.size = 0
        self.stuck_at: int | None = None

    def take_out(self) -> bytes:
        """Return all that is in it."""
        parts = []
        while self.filled:
            parts.append(os.read(self.read_end, self.filled))
            self.filled -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Close both ends, and lose what is in it."""
        os.close(self.read_end)
        os.close(self.write_end)


class Pipes:
    """Lend pipes to directions that run full. A direction that gets none goes on copying.

    Attributes:
        tight: a sink took less than it had room for, and more is stuck in its pipe than can be held: the kernel is out
            of memory for sockets (tcp_mem, tcp(7)). While that lasts, no other pipe is to be filled so far.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit if hasattr(os, "splice") else 0
        self._idle: list[Pipe] = []
        self._lent: dict[Pipe, Borrower] = {}
        self._ask_again = 0.0
        self.tight = False

    @property
    def lent(self) -> int:
        """How many pipes are lent."""
        return len(self._lent)

    def take(self, borrower: Borrower) -> Pipe | None:
        """Lend an empty pipe; None when the limit is reached or the kernel gives none worth having."""
        if self._idle:
            pipe = self._idle.pop()
        else:
            if len(self._lent) >= self._limit or time.monotonic() < self._ask_again:
                return None
            made = _useful_pipe()
            if made is None:
                # It would be asked again at every full read; those that exist are still lent on.
                self._ask_again = time.monotonic() + _ASK_PAUSE
                return None
            pipe = made
        self._lent[pipe] = borrower
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take a pipe back; one with bytes in it, of a connection that was cut, is closed, as is any after `refuse`."""
        del self._lent[pipe]
        if pipe.filled or not self._limit:
            pipe.close()
        else:
            pipe.room, pipe.stuck_at = 0, None
            self._idle.append(pipe)

    def sweep(self) -> None:
        """Ask for the pipes that are of no use: stuck since the last sweep, but for less than a full one.

        Whoever reads that slowly needs no pipe; and readers that stall must not keep all from others.
        """
        self.tight = any(borrower.blocked and pipe.filled > MOST_HELD for pipe, borrower in self._lent.items())
        for pipe, borrower in list(self._lent.items()):
            if not borrower.blocked:
                pipe.stuck_at = None
            elif pipe.stuck_at is None or borrower.moved - pipe.stuck_at >= PIPE_BYTES:
                pipe.stuck_at = borrower.moved
            elif pipe.filled <= MOST_HELD:
                borrower.hold_what_is_in(pipe)

    def refuse(self) -> None:
        """Lend no pipes any more: the kernel, or a sandbox, does not let us splice."""
        self._limit = 0
        self.close()

    def close(self) -> None:
        """Close the pipes that are not lent."""
        while self._idle:
            self._idle.pop().close()


def share_of_user(processes: int) -> int:
    """Return how many pipes each of so many processes may have, for all to stay within half of what their user may."""
    try:
        pages = int(_USER_PAGES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return sys.maxsize  # before Linux 4.5, or in a sandbox that has pipes of its own
    return pages // 2 // (PIPE_BYTES // mmap.PAGESIZE) // processes if pages else sys.maxsize


def _useful_pipe() -> Pipe | None:
    try:
        pipe = Pipe()
    except OSError:
        return None
    try:
        pipe.size = fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pipe.size = fcntl.fcntl(pipe.write_end, fcntl.F_GETPIPE_SZ)
    if pipe.size < _USEFUL_BYTES:
        pipe.close()
        return None
    return pipe
