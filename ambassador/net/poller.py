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

# The kernel announces each segment as perhaps urgent, too (EPOLLPRI): to hear of none, both have to go.
_ALL_BUT_INPUT = OUT | ENDED | select.EPOLLET
_EVERYTHING = IN | URGENT | _ALL_BUT_INPUT
# The most events of one turn; then the event loop's other work (admin, signals) gets its chance.
_EVENTS_PER_TURN = 256


class Poller:
    """Pass socket events to their handlers, in turns of the event loop. Not thread-safe: call it on the loop's thread.

    Sockets belong to whoever registers them; the poller closes one only when `close` is called for it. That keeps the
    descriptor until the turn is over, so that an event of the same turn can never reach a newer socket with the same
    number. A handler that raises is reported to the loop's exception handler, and the other events are still passed on.

    Attributes:
        loop: the event loop that runs the turns.
        served: how many events, and calls of `call_next_turn`, were passed on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, on_turn: Callable[[], None] = lambda: None) -> None:
        """Begin. *on_turn* is called whenever the sockets are about to be looked at."""
        self.loop = loop
        self._on_turn = on_turn
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._next_turn: list[Callable[[], None]] = []
        self._next_turn_scheduled = False
        self._last: Callable[[], None] | None = None
        self.served = 0
        self._to_close: list[socket.SocketType] = []
        self._in_turn = False
        loop.add_reader(self._epoll.fileno(), self._turn)

    def register(self, sock: socket.SocketType, handler: Handler) -> None:
        """Call *handler* with the event mask whenever something changes at *sock*, and once with its present state.

        Raises:
            OSError: the kernel refuses (epoll_ctl(2)): ENOSPC beyond the user's fs.epoll.max_user_watches, or ENOMEM.
                The socket is not registered then, and still the caller's to close.
        """
        fd = sock.fileno()
        self._handlers[fd] = handler
        self._epoll.register(fd, _EVERYTHING)

    def set_handler(self, sock: socket.SocketType, handler: Handler) -> None:
        """Pass further events of a registered socket to another handler, which is not called for its present state."""
        self._handlers[sock.fileno()] = handler

    def mute(self, sock: socket.SocketType) -> None:
        """Pass on no event for bytes that arrive at a registered socket (one per segment), but all others."""
        self._epoll.modify(sock.fileno(), _ALL_BUT_INPUT)

    def unmute(self, sock: socket.SocketType) -> None:
        """Pass on every event again, and once the present state."""
        self._epoll.modify(sock.fileno(), _EVERYTHING)

    def close(self, sock: socket.SocketType) -> None:
        """Close a registered socket, at the end of the turn if one runs; its handler is not called again."""
        self._handlers.pop(sock.fileno(), None)
        if self._in_turn:
            self._to_close.append(sock)
        else:
            sock.close()

    def unregister(self, sock: socket.SocketType) -> None:
        """Pass on no more events of a registered socket, and leave it open.

        For one that other processes have open, too: closing ours would not end its events (epoll(7), questions and
        answers).
        """
        self._handlers.pop(sock.fileno(), None)
        self._epoll.unregister(sock.fileno())

    def call_next_turn(self, work: Callable[[], None]) -> None:
        """Call *work* in the next turn: for a handler that stops before the kernel said EAGAIN, to be fair."""
        self._next_turn.append(work)
        self._schedule_next_turn()

    def call_last(self, work: Callable[[], None]) -> None:
        """Call *work* at the end of this turn, behind all others, or else of the next. There is one who may be last."""
        self._last = work
        if not self._in_turn:
            self._schedule_next_turn()

    def shut_down(self) -> None:
        """Stop passing on events. Closes the epoll, not the sockets, which belong to their owners."""
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _schedule_next_turn(self) -> None:
        if not self._next_turn_scheduled:
            self._next_turn_scheduled = True
            self.loop.call_soon(self._run_next_turn)

    def _run_next_turn(self) -> None:
        self._next_turn_scheduled = False
        work, self._next_turn = self._next_turn, []
        self.served += len(work)
        self._in_turn = True
        try:
            for call in work:
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - as in `_turn`
                    self.report(error)
        finally:
            # Whoever is last comes behind the events that have come by now, too.
            (self._end_turn if self._last is None else self._turn)()

    def _turn(self) -> None:
        self._on_turn()
        handlers = self._handlers
        self._in_turn = True
        try:
            events = self._epoll.poll(0, _EVENTS_PER_TURN)
            self.served += len(events)
            for fd, mask in events:
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
        if self._last is not None:
            work, self._last = self._last, None
            try:
                work()
            except Exception as error:  # noqa: BLE001 - as in `_turn`
                self.report(error)
            if self._last is not None:
                self._schedule_next_turn()
        self._in_turn = False
        for sock in self._to_close:
            sock.close()
        self._to_close.clear()
