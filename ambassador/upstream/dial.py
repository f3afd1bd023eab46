"""One dial: from an upstream's endpoints to one connected socket, or the reason why there is none.

A state machine of callbacks, not a task: what a connection costs to set up decides how this compares with proxies
written in C. The states: *queued* for a place among the upstream's dials, *looking up*, *connecting*, *resting*
between rounds. In each of them exactly one deadline stands.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.net import poller, tcp
from ambassador.net.address import written
from ambassador.net.local import FIRST_EPHEMERAL_PORT
from ambassador.net.sockets import dialling_socket, met_itself
from ambassador.net.tcp import reset_on_close
from ambassador.relay import Leg

if TYPE_CHECKING:
    from ambassador.upstream.upstream import Upstream

# A step that had less than this when time ran out says nothing: what earlier ones said is the reason.
_TOO_SHORT = 0.1
# Docker rewrites the hosts file in microseconds: five looks are far more than enough.
_REWRITE_LOOKS = 5
_REWRITE_PAUSE = 0.01

_ENDS = {
    errno.ECONNREFUSED: End.CONNECT_REFUSED,
    errno.ETIMEDOUT: End.CONNECT_TIMEOUT,
    errno.EHOSTUNREACH: End.CONNECT_UNREACHABLE,
    errno.ENETUNREACH: End.CONNECT_UNREACHABLE,
    errno.EHOSTDOWN: End.CONNECT_UNREACHABLE,
    errno.ENETDOWN: End.CONNECT_UNREACHABLE,
}
# A refusal says ECONNREFUSED; these are the endings of a connection that was established, be it for a moment.
_ONCE_CONNECTED = frozenset({errno.ECONNRESET, errno.EPIPE})
# Worth another round: the upstream may be on its way, or this machine short of something for a moment.
_PASSING = frozenset({*_ENDS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})


class DialOwner(Protocol):
    """Who asked for a dial, and gets exactly one answer unless it cancels."""

    def dialled(self, leg: Leg, address: str, endpoint: int) -> None:
        """Take over the upstream's leg: connected, registered with the poller, its handshake done if there is one.

        The server may not know yet that it is connected: first bytes tell it, and `tcp.acknowledge` makes sure.
        """

    def dial_failed(self, end: End, error: str) -> None:
        """Take note that there is no connection, with the `end` of the access log and a reason."""

    def dial_broke(self, error: Exception) -> None:
        """Take note that there is no connection because of an error of our own."""


class Dial:
    """Dial an upstream for one client. Owned by the upstream until it answers or is cancelled."""

    __slots__ = (
        "_addresses",
        "_at",
        "_attempt",
        "_leg",
        "_looks",
        "_passing",
        "_port",
        "_since",
        "_sock",
        "_tried",
        "deadline",
        "end",
        "error",
        "holds_place",
        "owner",
        "upstream",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, owner: DialOwner, now: float) -> None:
        self.upstream = upstream
        self.owner: DialOwner | None = owner
        self.deadline = now + upstream.timeout
        self.end = End.CONNECT_TIMEOUT
        self.error = "no answer in time"
        self.holds_place = False
        self._sock: socket.SocketType | None = None
        self._leg: Leg | None = None
        self._attempt = ""
        self._at = -1
        self._since = now
        self._tried = False

    @property
    def connecting(self) -> socket.SocketType | None:
        """The socket that is being connected at the moment."""
        return self._sock

    def start_round(self) -> None:
        """Try every endpoint once, in order. The caller has given this dial a place among the upstream's."""
        self._at = -1
        self._addresses: list[str] = []
        self._port = 0
        self._looks = 0
        self._passing = False
        self._try_next()

    def hand_over(self) -> bool:
        """Answer at once if the connection is there already, though no event has said so yet; tell whether it was.

        For a client that is gone: what it sent before still reaches the upstream, and then the reset.
        """
        if self._sock is None or self._leg is not None or self.upstream.credentials is not None:
            return False
        try:
            self._sock.getpeername()
        except OSError:
            return False
        self._connected(self._sock, 0, 0)
        return True

    def cancel(self) -> None:
        """End the dial without an answer. Closes its socket."""
        self.owner = None
        self._drop_socket()
        self.upstream.dial_over(self)

    def expire(self) -> None:
        """Go on after the deadline of the present step: with the next address, or with the bad news."""
        now = self.upstream.now()
        late = now >= self.deadline
        if not self.holds_place or (late and self._tried and now - self._since < _TOO_SHORT):
            self._drop_socket()
            self._fail()
            return
        if self._leg is not None:
            self._note(End.HANDSHAKE_FAILED, f"{self._attempt}: the handshake was not done in time")
        elif self._sock is not None:
            self._note(End.CONNECT_TIMEOUT, f"{self._attempt}: no answer in time")
        else:
            name = self.upstream.endpoints[self._at].address.host
            self._note(End.CONNECT_UNRESOLVED, f"{name}: no answer from the name service in time")
        self._drop_socket()
        if late:
            self._fail()
        else:
            self._passing = True
            self._try_next()

    def refuse(self, error: str) -> None:
        """End the dial because it must not succeed."""
        self._drop_socket()
        self._note(End.CONNECT_FAILED, error)
        self._fail()

    def _try_next(self) -> None:
        """Try the addresses that are left, one after the other, until one is being connected or none is left."""
        try:
            while self.owner is not None:
                if self._addresses:
                    if self._connect(self._addresses.pop(0)):
                        return
                elif self._at + 1 < len(self.upstream.endpoints):
                    self._at += 1
                    self._looks = 0
                    if self._look_up():
                        return
                elif self._passing:
                    self.upstream.rest(self)
                    return
                else:
                    self._fail()
                    return
        except Exception as error:  # noqa: BLE001 - a dial ends here, the process does not
            self._drop_socket()
            owner, self.owner = self.owner, None
            self.upstream.dial_over(self)
            if owner is not None:
                owner.dial_broke(error)

    def _look_up(self) -> bool:
        """Find the addresses of the present endpoint. Tell whether the answer is still to come."""
        endpoint = self.upstream.endpoints[self._at]
        self._port = endpoint.address.port
        host = endpoint.address.host
        if endpoint.hosts_alias is not None:
            linked = self.upstream.resolver.linked(endpoint.hosts_alias)
            if linked is None and self._looks < _REWRITE_LOOKS:
                self._looks += 1
                self.upstream.loop.call_later(_REWRITE_PAUSE, self._look_again, self._at)
                self._give_share()
                return True
            if linked:
                self._resolved(linked)
                return False
        if self.upstream.literal[self._at]:
            self._addresses.append(host)
            return False
        self._give_share()
        at = self._at
        self.upstream.resolver.lookup(host, lambda found, reason: self._answered(at, found, reason))
        return True

    def _look_again(self, at: int) -> None:
        if self.owner is not None and self.holds_place and at == self._at and not self._look_up():
            self._try_next()

    def _answered(self, at: int, found: tuple[str, ...], reason: str | None) -> None:
        """Take the answer of a lookup, unless this dial has gone on without it."""
        if self.owner is None or not self.holds_place or at != self._at or self._sock is not None or self._addresses:
            return
        if found:
            self._resolved(found)
        else:
            self._passing = True
            self._note(End.CONNECT_UNRESOLVED, f"{self.upstream.endpoints[at].address.host}: {reason}")
        self._try_next()

    def _resolved(self, found: tuple[str, ...]) -> None:
        self._addresses = list(found)
        self.upstream.health[self._at].resolved(found)

    def _give_share(self) -> None:
        """Give the present step the time left over the addresses left: a black hole never hides a live endpoint."""
        self._since = now = self.upstream.now()
        left = 1 + len(self._addresses) + len(self.upstream.endpoints) - self._at - 1
        self.upstream.deadlines.set(self, now + (self.deadline - now) / left)

    def _connect(self, host: str) -> bool:
        """Begin to connect. Tell whether the outcome is still to come."""
        self._attempt = written(host, self._port)
        if self.upstream.is_own(host, self._port):
            self._note(End.CONNECT_FAILED, self.upstream.own_dial(self._attempt))
            return False
        try:
            sock = dialling_socket(host)
        except OSError as error:
            self._missed(error.errno or 0)
            return False
        if self.upstream.delay_acknowledgement:
            tcp.delay_acknowledgement(sock)
        error_number = sock.connect_ex((host, self._port))
        if error_number not in {0, errno.EINPROGRESS}:
            sock.close()
            self._missed(error_number)
            return False
        self._sock = sock
        self.upstream.poller.register(sock, self._on_events)
        self._give_share()
        return True

    def _on_events(self, mask: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if mask & poller.ERROR:
            error_number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error_number in _ONCE_CONNECTED:
                self._connected(sock, mask, error_number)
                return
            self._drop_socket()
            self._missed(error_number)
            self._try_next()
        elif mask & poller.OUT:
            if self._port >= FIRST_EPHEMERAL_PORT and met_itself(sock):
                self._drop_socket()
                self._missed(errno.ECONNREFUSED)
                self._try_next()
            else:
                self._connected(sock, mask, 0)

    def _connected(self, sock: socket.SocketType, mask: int, error_number: int) -> None:
        """Hand the connection over, or shake hands on it first."""
        self._leg = leg = Leg(sock)
        leg.error = error_number
        leg.note(mask)
        credentials = self.upstream.credentials
        if credentials is None:
            self._succeed()
            return
        if error_number:
            self._handshake_failed(os.strerror(error_number))
            return
        from ambassador.tunnel.handshake import Handshake

        leg.codec = codec = credentials.tunnel.codec(self.upstream.endpoints[self._at].address.host)
        handshake = Handshake(sock, codec, done=self._succeed, failed=self._handshake_failed)
        self.upstream.poller.set_handler(sock, handshake.on_events)
        self._give_share()
        handshake.start()

    def _handshake_failed(self, reason: str) -> None:
        self._drop_socket()
        self._note(End.HANDSHAKE_FAILED, f"{self._attempt}: {reason}")
        self._try_next()

    def _succeed(self) -> None:
        owner, leg = self.owner, self._leg
        assert owner is not None and leg is not None  # noqa: S101, PT018 - a cancelled dial has no socket
        leg.readable = leg.readable or leg.codec is not None
        self.owner = self._sock = self._leg = None
        self.upstream.dial_over(self)
        self.upstream.reached(self._at)
        owner.dialled(leg, self._attempt, self._at)

    def _fail(self) -> None:
        owner, self.owner = self.owner, None
        self.upstream.dial_over(self)
        if owner is not None:
            owner.dial_failed(self.end, self.error)

    def _missed(self, error_number: int) -> None:
        self._passing = self._passing or error_number in _PASSING
        reason = os.strerror(error_number)
        self._note(_ENDS.get(error_number, End.CONNECT_FAILED), f"{self._attempt}: {reason}")

    def _note(self, end: End, error: str) -> None:
        self.end, self.error = end, error
        self._tried = True
        if self._at >= 0:
            self.upstream.health[self._at].missed(error)

    def _drop_socket(self) -> None:
        if self._sock is not None:
            # Established or not: nobody must take this for an orderly, empty stream.
            reset_on_close(self._sock)
            self.upstream.poller.close(self._sock)
            self._sock = self._leg = None
