"""A bounded pool of pipes for splice(2), which moves bytes between sockets without copying them through us."""

from __future__ import annotations

import fcntl
import os
import time

# What a direction may move at once: a turn's share. Half of it costs a bulk stream a tenth more CPU; with twice as much
# the others wait for longer, and it saves a twentieth.
PIPE_BYTES = 512 * 1024
# pipe(7): past its share of pages (pipe-user-pages-soft) an unprivileged user gets pipes of a page or two, which are
# slower than copying.
_USEFUL_BYTES = 64 * 1024
# Descriptors, and the share of pages of others who run as the same user, come and go: ask again after so many seconds.
_ASK_PAUSE = 1.0


class Pipe:
    """A pipe and how many bytes are in it. Whoever took it from the pool closes it or gives it back empty.

    Attributes:
        filled: bytes in it.
        short: the last splice out of it took less than all.
    """

    __slots__ = ("filled", "read_end", "short", "size", "write_end")

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.filled = 0
        self.short = False
        self.size = 0

    def close(self) -> None:
        """Close both ends, and lose what is in it."""
        os.close(self.read_end)
        os.close(self.write_end)


class Pipes:
    """Lend pipes to directions that run full. A direction that gets none goes on copying."""

    def __init__(self, limit: int) -> None:
        self._limit = limit if hasattr(os, "splice") else 0
        self._idle: list[Pipe] = []
        self._ask_again = 0.0
        self.lent = 0

    def take(self) -> Pipe | None:
        """Lend an empty pipe; None when the limit is reached or the kernel gives none worth having."""
        if self._idle:
            self.lent += 1
            return self._idle.pop()
        if self.lent >= self._limit or time.monotonic() < self._ask_again:
            return None
        pipe = _useful_pipe()
        if pipe is None:
            # It would be asked again at every full read; those that exist are still lent on.
            self._ask_again = time.monotonic() + _ASK_PAUSE
        else:
            self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take a pipe back; one with bytes in it, of a connection that was cut, is closed, as is any after `refuse`."""
        self.lent -= 1
        if pipe.filled or not self._limit:
            pipe.close()
        else:
            self._idle.append(pipe)

    def refuse(self) -> None:
        """Lend no pipes any more: the kernel, or a sandbox, does not let us splice."""
        self._limit = 0
        self.close()

    def close(self) -> None:
        """Close the pipes that are not lent."""
        while self._idle:
            self._idle.pop().close()


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
