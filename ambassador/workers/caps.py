"""The most clients of a route in all workers together."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Caps:
    """How many clients of each capped route each worker has, in memory that all share; made before they are forked.

    A worker looks and takes under a lock, for two that take the last place at a time would both be right. The lock is
    that of a file (fcntl(2)), which a worker that dies lets go of.
    """

    def __init__(self, routes: Iterable[str], workers: int) -> None:
        self._rows = {name: row for row, name in enumerate(routes)}
        self._workers = workers
        self._counts = memoryview(mmap.mmap(-1, 8 * workers * max(1, len(self._rows)))).cast("Q")
        self._file = os.memfd_create("caps") if self._rows else -1

    def of(self, route: str, limit: int, worker: int) -> SharedCap:
        """Return the cap of a route as one worker takes of it."""
        first = self._rows[route] * self._workers
        return SharedCap(self, range(first, first + self._workers), limit, first + worker)

    def forget(self, worker: int) -> None:
        """Count the clients of a worker that is dead no longer."""
        for first in range(0, self._workers * len(self._rows), self._workers):
            self._counts[first + worker] = 0

    def take(self, row: range, limit: int, own: int) -> bool:
        """Take a place for a worker in *row*, if there is one."""
        with self._locked():
            if sum(self._counts[row.start : row.stop]) >= limit:
                return False
            self._counts[own] += 1
            return True

    def give(self, own: int) -> None:
        """Give a place back. Without the lock: only this worker writes that number."""
        self._counts[own] -= 1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


class SharedCap:
    """The cap of a route of which several workers take."""

    shared = True

    def __init__(self, caps: Caps, row: range, limit: int, own: int) -> None:
        self._caps = caps
        self._row = row
        self._limit = limit
        self._own = own

    def take(self) -> bool:
        """Take a place, if there is one."""
        return self._caps.take(self._row, self._limit, self._own)

    def give(self) -> None:
        """Give a place back."""
        self._caps.give(self._own)
