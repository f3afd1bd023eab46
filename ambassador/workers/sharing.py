"""Share clients out among workers evenly, though all of them accept from the same queue.

The kernel wakes every worker for a client, and the first one there would take all of a burst: of 50 clients that come
at once, two workers were seen to have 46 and 4. EPOLLEXCLUSIVE would not help: it has no effect on an epoll that is
watched by another one, as ours is by the event loop's, and it only ever chooses who is awake already.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from ambassador.server.listener import Listener
from ambassador.workers.caps import Caps

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from ambassador.server.listener import AcceptOne, ListenerOwner
    from ambassador.server.route import ServedRoute

# How long a worker leaves clients to one with fewer. That one is mostly awake by then, unless it is busy or stopped;
# then so many are accepted as a worker can serve in that time, so that patience costs no throughput.
_PATIENCE = 0.001
_THEN_ACCEPTED = 4
# Beyond this share, more connections here than elsewhere do not matter.
_UNEVEN = 16
_ABSENT = 1 << 62


class Loads:
    """How many connections each worker has, in memory that all of them share; made before they are forked.

    Attributes:
        caps: how many of them are of routes that have a limit of their own.
    """

    def __init__(self, workers: int, *, capped: Iterable[str] = ()) -> None:
        self.caps = Caps(capped, workers)
        self._counts = memoryview(mmap.mmap(-1, 8 * workers)).cast("Q")
        for index in range(workers):
            self.leave(index)

    def publish(self, index: int, live: int) -> None:
        """Let the others know how many connections a worker has."""
        self._counts[index] = live

    def leave(self, index: int) -> None:
        """Let the others wait no more for a worker that is dead, or accepts nobody."""
        self._counts[index] = _ABSENT

    def total(self) -> int:
        """Add up the connections of all; that some have ended may take a moment to be known."""
        return sum(count for count in self._counts if count != _ABSENT)

    def ahead(self, live: int) -> bool:
        """Tell whether a worker with so many connections should leave the next client to another."""
        least = min(self._counts)
        return live > least + least // _UNEVEN


class SharingListener(Listener):
    """Accept like any listener, but leave clients to workers that have fewer for a moment."""

    def __init__(
        self, sock: socket.socket, route: ServedRoute, process: ListenerOwner, *, loads: Loads, index: int
    ) -> None:
        super().__init__(sock, route, process, accept_one=self._accept_in_turn)
        self._loads = loads
        self._index = index
        self._take: AcceptOne = sock._accept  # type: ignore[attr-defined]  # noqa: SLF001 - as in `Listener`
        self._waits = False
        self._credit = 0
        self.ends_alone = False

    def close(self) -> None:
        """Accept whoever waits, then close the socket for this worker: its siblings may go on."""
        self._credit = _ABSENT
        self._loads.leave(self._index)
        if not self._closed:
            self._poller.unregister(self.sock)
        super().close()

    def _accept_in_turn(self) -> tuple[int, Any]:
        live = len(self._connections.live)
        self._loads.publish(self._index, live)
        if self._loads.ahead(live):
            if not self._credit:
                self._wait()
                raise BlockingIOError
            self._credit -= 1
        return self._take()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._poller.loop.call_later(_PATIENCE, self._wait_no_more)

    def _wait_no_more(self) -> None:
        """Accept some that the others have left in this time."""
        self._waits = False
        self._credit = _THEN_ACCEPTED
        self.accept()

    def accept_some(self, until: float) -> bool:
        """Accept as any listener does; what is left of a credit is not for those who come later."""
        more = super().accept_some(until)
        if not more:
            self._credit = 0
        return more
