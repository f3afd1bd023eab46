"""End a connection that was made and is not needed: by FIN, as a client does that has nothing to say."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ambassador.upstream.upstream import DialContext

# Seconds for the server to end its side, too.
_PATIENCE = 2.0
_CHUNK = 1 << 16
# A server that never stops talking must not keep the others waiting; its next bytes are another event.
_READS_AN_EVENT = 16


def part(sock: socket.SocketType, context: DialContext) -> None:
    """End a socket that is registered with the poller: in order if it is connected, at once if it is not."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:  # not connected yet, or reset by the peer
        context.poller.close(sock)
    else:
        _Farewell(sock, context)


class _Farewell:
    """Read and drop what a server that speaks first has said: to close before all is read would be a reset.

    Resource handling: owns the socket, and closes it once the server has ended its side or the patience is over.
    """

    def __init__(self, sock: socket.SocketType, context: DialContext) -> None:
        self._socket = sock
        self._context = context
        context.poller.set_handler(sock, self._on_events)
        context.deadlines.set(self, context.clock.time() + _PATIENCE)
        self._on_events(0)

    def _on_events(self, _mask: int) -> None:
        try:
            for _ in range(_READS_AN_EVENT):
                if not self._socket.recv(_CHUNK):
                    break
            else:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._context.deadlines.clear(self)
        self.expire()

    def expire(self) -> None:
        """Close the socket."""
        self._context.poller.close(self._socket)
