"""Accept from a listening socket, and pause when there is no room.

An accept loop of our own, because asyncio's spins when descriptors run out, and uvloop's accepts and closes without
a word (both tried).
"""

from __future__ import annotations

import errno
import functools
import math
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from ambassador.net.address import unmapped
from ambassador.net.sockets import BACKLOG, ignore_newcomers, somebody_waits
from ambassador.net.tcp import reset_on_close
from ambassador.server.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.net.poller import Poller
    from ambassador.server.connections import Connections
    from ambassador.server.route import ServedRoute
    from ambassador.server.self_dials import SelfDials
    from ambassador.server.strangers import Strangers

    AcceptOne = Callable[[], tuple[int, Any]]

log = structlog.get_logger()

# accept(2): the client went away, or the network has trouble that is not the listener's. The next one may be well.
_CLIENTS_TROUBLE = frozenset({
    errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET,
    errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EINTR,
})  # fmt: skip
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
# After a shortage, accepting is tried again this often: seldom enough to cost nothing, often enough not to be felt.
_SHORTAGE_PAUSE = 0.1
# Who shares a route's cap with other processes looks this often whether they made room, while somebody waits.
_LOOK_AGAIN = 0.05
_WARN_EVERY = 1.0


class ListenerOwner(Protocol):
    """The process that a listener is part of.

    Attributes:
        next_id: returns the number of a new connection.
    """

    connections: Connections
    poller: Poller
    self_dials: SelfDials
    strangers: Strangers
    next_id: Callable[[], int]

    def listener_failed(self, listener: Listener, error: OSError) -> None:
        """Take note that *listener* cannot go on."""


class Listener:
    """Accept the clients of one route at one address. Owns the listening socket, which it is given bound.

    *accept_one* takes the place of the socket's own accept(2): it returns a descriptor and the peer's address, or
    raises BlockingIOError when nobody is to be accepted now; then `accept` is to be called when somebody is.

    Attributes:
        ends_alone: nobody goes on to accept from the socket when this is closed.
    """

    def __init__(
        self, sock: socket.socket, route: ServedRoute, process: ListenerOwner, *, accept_one: AcceptOne | None = None
    ) -> None:
        self.sock = sock
        self.route = route
        self.ends_alone = True
        self._family = int(sock.family)
        # What accept() is made of; that asks the socket for its family, type, protocol and timeout anew each time.
        self._accept_one = accept_one or sock._accept  # type: ignore[attr-defined]  # noqa: SLF001 - measured: 3 % of a connection
        self._process = process
        self._connections = process.connections
        self._poller = process.poller
        self._self_dials = process.self_dials
        self._strangers = process.strangers
        self._places = route.places
        self._paused_for: str | None = None
        self._warned = -_WARN_EVERY
        self._told = False
        self._will_resume = self._will_look_again = self._looks = False
        self._closed = False
        self._failed = False

    def start(self) -> None:
        """Begin to accept."""
        self._poller.register(self.sock, self._on_events)

    def close(self) -> None:
        """Accept those whose handshake is complete, so that closing resets nobody, then close the socket."""
        if not self._closed:
            if not self._failed:
                if self.ends_alone:
                    ignore_newcomers(self.sock)
                self.accept_some(math.inf)
            self._closed = True
            self._poller.close(self.sock)

    def _on_events(self, _mask: int) -> None:
        self._strangers.events += 1
        self.accept()

    def accept(self) -> None:
        """Accept whoever waits, when it is strangers' turn."""
        if not self._closed:
            self._strangers.accept(self)

    def accept_some(self, until: float) -> bool:
        """Accept while somebody waits, there is room, and it is not *until* yet; tell whether more may wait."""
        if self._closed:
            return False
        looks, self._looks = self._looks, False
        # Bounded, so that clients who keep coming do not keep us from closing.
        for _ in range(BACKLOG):
            if not self._places.take():
                self._wait_for_room(again=looks)
                return False
            try:
                fd, peer = self._accept_one()
            except BlockingIOError:
                self._places.untake()
                return False
            except OSError as error:
                self._places.untake()
                if error.errno in _CLIENTS_TROUBLE:
                    continue
                if error.errno in _SHORTAGE:
                    self._pause(errno.errorcode[error.errno])
                    self._resume_by(functools.partial(self._poller.loop.call_later, _SHORTAGE_PAUSE))
                else:
                    self._failed = True
                    self._process.listener_failed(self, error)
                return False
            # The base of socket.socket, as in `dialling_socket`.
            self._admit(socket.SocketType(self._family, socket.SOCK_STREAM, 0, fd), peer)
            if time.perf_counter() >= until:
                break
        return True

    def _admit(self, sock: socket.SocketType, peer: tuple[str, int]) -> None:
        sock.settimeout(0)
        if self._paused_for is not None:
            self._say_resumed()
        peer = (unmapped(peer[0]), peer[1])
        looped_from = self._self_dials.looped_from(peer)
        if looped_from is not None and self._self_dials.ends_loop(looped_from):
            self._places.untake()
            reset_on_close(sock)
            sock.close()
            return
        connection = Connection(self.route, sock, peer, self._process.next_id())
        connection.looped_from = looped_from
        self._connections.add(connection)
        self._places.waits()
        connection.start()

    def _wait_for_room(self, *, again: bool) -> None:
        """Go on when there is room for whoever waits; while nobody does, the next one that comes is an event.

        Where other processes make room, say that somebody waits if that was so a moment ago, too (*again*). Not at
        first sight: whoever took the last place may be about to accept the very client that was seen to wait.
        """
        if not somebody_waits(self.sock):
            return
        if not self._places.shared:
            self._pause("max_connections")
        elif not self._will_look_again:
            self._will_look_again = True
            self._poller.loop.call_later(_LOOK_AGAIN, self._look_again)
            if again:
                self._pause("max_connections")
        self._resume_by(self._connections.on_room.append)

    def _look_again(self) -> None:
        """See whether another process made room, and say that somebody waits if none did."""
        self._will_look_again = False
        self._looks = True
        self.accept()

    def _resume_by(self, call: Callable[[Callable[[], None]], object]) -> None:
        """Have *call* bring about the next try, unless one is due: each client that comes to wait is an event."""
        if not self._will_resume:
            self._will_resume = True
            call(self._resume)

    def _resume(self) -> None:
        # At the end of the turn: whoever made room is still at work, and may be one of a long row that fails at once.
        self._will_resume = False
        self.accept()

    def _pause(self, reason: str) -> None:
        """Say, once a second at most, that clients wait."""
        now = self._poller.loop.time()
        if self._paused_for is None:
            self.route.counters.accept_paused += 1
        self._paused_for = reason
        if now - self._warned >= _WARN_EVERY:
            self._warned = now
            self._told = True
            log.warning("accept.paused", route=self.route.name, reason=reason, live=len(self._connections.live))

    def _say_resumed(self) -> None:
        """Say that clients no longer wait, if it was said that they do."""
        if self._told:
            log.info("accept.resumed", route=self.route.name, reason=self._paused_for)
        self._told = False
        self._paused_for = None
