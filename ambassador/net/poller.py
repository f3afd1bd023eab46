"""An edge-triggered epoll of our own, hung below the event loop as one reader.

asyncio's `add_reader` and `add_writer` cost a system call each time interest changes, and report nothing about a
socket in which we are not interested at the moment. Here every socket is registered once, for everything, edge
triggered (epoll(7)): no further system call until it is closed, and a reset is reported even while nobody reads
(tried: unread data, reading paused, after end of stream). The price is that a handler remembers what it was told
until the kernel says EAGAIN, or a read comes back short.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    Handler = Callable[[int], None]

IN = select.EPOLLIN
OUT = select.EPOLLOUT
URGENT = select.EPOLLPRI
ENDED = select.EPOLLRDHUP
HANGUP = select.EPOLLHUP
ERROR = select.EPOLLERR

# The kernel announces each segment as perhaps urgent, too: to hear of none, both have to go.
_BUT_INPUT = OUT | ENDED | select.EPOLLET
_EVERYTHING = IN | URGENT | _BUT_INPUT
# One turn hands out this many events, then the event loop's other work (admin, signals) gets its chance.
_EVENTS_A_TURN = 256


class Poller:
    """Hand socket events to their handlers, in turns of the event loop.

    A socket that is closed through `close` keeps its descriptor until the turn is over, so that an event of the same
    turn that was meant for it can never reach a newer socket with the same number.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._again: list[Callable[[], None]] = []
        self._again_scheduled = False
        self._buried: list[socket.SocketType] = []
        self._in_turn = False
        loop.add_reader(self._epoll.fileno(), self._turn)

    def register(self, sock: socket.SocketType, handler: Handler) -> None:
        """Call *handler* with the event mask whenever something changes at *sock*, and once with its present state."""
        fd = sock.fileno()
        self._handlers[fd] = handler
        self._epoll.register(fd, _EVERYTHING)

    def set_handler(self, sock: socket.SocketType, handler: Handler) -> None:
        """Give the events of a registered socket to another handler, which is told nothing about its present state."""
        self._handlers[sock.fileno()] = handler

    def mute(self, sock: socket.SocketType) -> None:
        """Tell no more of bytes that arrive at a socket, which would be an event for each segment; of all else, yes."""
        self._epoll.modify(sock.fileno(), _BUT_INPUT)

    def unmute(self, sock: socket.SocketType) -> None:
        """Tell of everything again, and once of the present state."""
        self._epoll.modify(sock.fileno(), _EVERYTHING)

    def close(self, sock: socket.SocketType) -> None:
        """Close a registered socket; its handler is not called again."""
        self._handlers.pop(sock.fileno(), None)
        if self._in_turn:
            self._buried.append(sock)
        else:
            sock.close()

    def unregister(self, sock: socket.SocketType) -> None:
        """Hand out no more events of a socket that other processes have open, too: epoll goes on when we close ours."""
        self._handlers.pop(sock.fileno(), None)
        self._epoll.unregister(sock.fileno())

    def call_next_turn(self, work: Callable[[], None]) -> None:
        """Call *work* in the next turn: for a handler that stops before the kernel said EAGAIN, to be fair."""
        self._again.append(work)
        if not self._again_scheduled:
            self._again_scheduled = True
            self.loop.call_soon(self._run_again)

    def shut_down(self) -> None:
        """Stop handing out events. Closes the epoll, not the sockets, which belong to their owners."""
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _run_again(self) -> None:
        self._again_scheduled = False
        work, self._again = self._again, []
        self._in_turn = True
        try:
            for call in work:
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - as in `_turn`
                    self.report(error)
        finally:
            self._end_turn()

    def _turn(self) -> None:
        handlers = self._handlers
        self._in_turn = True
        try:
            for fd, mask in self._epoll.poll(0, _EVENTS_A_TURN):
                handler = handlers.get(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception as error:  # noqa: BLE001 - the other events of this turn never come again
                        self.report(error)
        finally:
            self._end_turn()

    def report(self, error: Exception) -> None:
        """Tell the event loop's exception handler of a fault that no caller could do anything about."""
        self.loop.call_exception_handler({"message": "a handler of socket events failed", "exception": error})

    def _end_turn(self) -> None:
        self._in_turn = False
        for sock in self._buried:
            sock.close()
        self._buried.clear()
