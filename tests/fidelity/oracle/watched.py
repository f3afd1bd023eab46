"""A socket whose every wait has a deadline, and what it saw."""

from __future__ import annotations

import array
import errno
import fcntl
import hashlib
import select
import socket
import time
from typing import TYPE_CHECKING, NoReturn

from oracle.trace import RECEIVED, SILENCE, Event, Trace, block

if TYPE_CHECKING:
    from collections.abc import Callable

    from oracle.stage import Signals
    from oracle.subjects import Route

# Nothing in a scenario takes longer than a relay's patience with a stalled reader, which is a few seconds.
PATIENCE = 15.0
# The kernel doubles it. Large enough for loopback's 64 KiB segments, small enough that a stream of megabytes fills it.
_NARROW_BYTES = 65536
CHUNK_BYTES = 262144


class ScriptOver(Exception):  # noqa: N818 - an ending, not an error
    """The connection ended where the script does not go on; the trace says how."""


class Watched:
    """One end of a connection: move bytes, and write down what comes of it.

    Every wait has a deadline. What comes (or does not) is an event; one that the script does not foresee ends it.
    """

    def __init__(self, name: str, route: Route, signals: Signals, *, direct: bool, narrow: bool) -> None:
        self.name = name
        self.other = "server" if name == "client" else "client"
        self.route = route
        self.signals = signals
        self.direct = direct
        self.narrow = narrow
        self.sent = 0
        self.acknowledged = 0
        self.received = 0
        self.taken_at = -1  # where an urgent byte was taken out of its place beside the stream
        self._hash = hashlib.sha256()
        self._events: list[Event] = []
        self._sockets: list[socket.socket] = []
        self._pattern = block(name)
        self._buffer = bytearray(CHUNK_BYTES)
        self._filler: socket.socket | None = None

    @property
    def connection(self) -> socket.socket:
        """The connection; the newest, where there are several."""
        return self._sockets[-1]

    def trace(self) -> Trace:
        """Return what was seen so far."""
        return Trace(tuple(self._events), self.sent, self.acknowledged)

    def dispose(self) -> None:
        """Close what the script left open."""
        for sock in (*self._sockets, self._filler):
            if sock is not None:
                sock.close()

    def saw(self, kind: str) -> None:
        """Write down an event."""
        self._events.append(Event(kind))

    def stop(self, kind: str) -> NoReturn:
        """Write down an event that ends the script."""
        self.saw(kind)
        raise ScriptOver(kind)

    def _adopt(self, sock: socket.socket) -> socket.socket:
        self._sockets.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BYTES)
        return sock

    def _next(self, count: int) -> memoryview:
        start = self.sent % len(self._pattern)
        return self._pattern[start : start + count]

    def _push(self, count: int) -> None:
        self.sent += self.connection.send(self._next(count))

    def _send_some(self, count: int) -> bool:
        try:
            self._push(count)
        except BlockingIOError:
            return False
        except OSError as error:
            self.stop(f"refused: {named(error)}")
        return True

    def _receive(self, most: int) -> int:
        view = memoryview(self._buffer)[: min(most, CHUNK_BYTES)]
        while True:
            try:
                count = self.connection.recv_into(view)
            except BlockingIOError:
                if not self._poll(select.POLLIN, PATIENCE):
                    self._saw_bytes(RECEIVED)
                    self.stop(SILENCE)
            except OSError as error:
                self._saw_bytes(RECEIVED)
                self.stop(f"reset: {named(error)}")
            else:
                self.received += count
                self._hash.update(view[:count])
                return count

    def _saw_bytes(self, kind: str) -> None:
        self._events.append(Event(kind, self.received, self._hash.hexdigest()))

    def _queued(self, which: int) -> int:
        answer = array.array("i", [0])
        fcntl.ioctl(self.connection, which, answer)
        return answer[0]

    def _poll(self, events: int, patience: float) -> int:
        poll = select.poll()
        poll.register(self.connection, events)
        ready = poll.poll(patience * 1000)
        return ready[0][1] if ready else 0

    def _await(self, fact: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not fact():
            if time.monotonic() > deadline:
                self.stop(otherwise)
            time.sleep(0.001)


def named(error: OSError) -> str:
    """Name an error as errno(3) does."""
    return errno.errorcode.get(error.errno or 0, str(error))
