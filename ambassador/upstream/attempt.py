"""One attempt: connect to one address, and shake hands where there is a tunnel."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ambassador.metrics import End
from ambassador.net import poller, tcp
from ambassador.net.address import written
from ambassador.net.local import first_ephemeral_port
from ambassador.net.sockets import dialling_socket, met_itself
from ambassador.net.tcp import reset_on_close
from ambassador.relay import Leg
from ambassador.upstream.farewell import part

if TYPE_CHECKING:
    from ambassador.tunnel import Codec, Credentials
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.upstream import Upstream

# A refusal says ECONNREFUSED; these are the endings of a connection that was established, be it for a moment.
_ONCE_CONNECTED = frozenset({errno.ECONNRESET, errno.EPIPE})
_ENDS = {
    errno.ECONNREFUSED: End.CONNECT_REFUSED,
    errno.ETIMEDOUT: End.CONNECT_TIMEOUT,
    errno.EHOSTUNREACH: End.CONNECT_UNREACHABLE,
    errno.ENETUNREACH: End.CONNECT_UNREACHABLE,
    errno.EHOSTDOWN: End.CONNECT_UNREACHABLE,
    errno.ENETDOWN: End.CONNECT_UNREACHABLE,
}
# This machine is short of something, which says nothing of the address.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EADDRNOTAVAIL})
# Misses that are worth another round: the upstream may be starting, and a shortage be over (local ports: in a second).
PASSING = SHORTAGES.union(_ENDS)


def end_of(error_number: int) -> End:
    """Return the ending of a connection whose dial failed by this errno."""
    return _ENDS.get(error_number, End.CONNECT_FAILED)


_Tried_contra = TypeVar("_Tried_contra", contravariant=True)


class AttemptOwner(Protocol[_Tried_contra]):
    """Who makes an attempt and keeps its deadline. Gets exactly one answer unless it cancels.

    After `connected` the leg and its socket are the owner's to close; after a failure nothing is left to close.
    """

    def connected(self, attempt: _Tried_contra, leg: Leg) -> None:
        """Take over a leg that is connected, registered with the poller, its handshake done if there is one."""

    def missed(self, attempt: _Tried_contra, error_number: int) -> None:
        """Take note that nobody was reached, by the errno of connect(2)."""

    def handshake_begins(self, attempt: _Tried_contra) -> None:
        """Take note that the address accepted, and now has to prove itself."""

    def handshake_failed(self, attempt: _Tried_contra, reason: str) -> None:
        """Take note that the address accepted and did not prove itself."""


class Trying(Protocol):
    """An attempt at one address, or a race of several."""

    owner: Any
    address: str

    @property
    def socket(self) -> socket.SocketType | None:
        """The socket that is being connected at the moment."""

    @property
    def shaking_hands(self) -> bool:
        """Tell whether an address has accepted, and the handshake goes on."""

    @property
    def others(self) -> int:
        """Count the addresses that are yet to be tried, or to be tried again."""

    def start(self) -> int:
        """Begin; return 0, or the errno of a failure on the spot, which the owner is not told again."""

    def cancel(self) -> None:
        """End it without an answer, and close its sockets."""

    def abandon(self) -> None:
        """End it because there was no answer in time."""

    def pass_over(self) -> bool:
        """Give other addresses their turn because a handshake takes too long; tell whether there were any."""

    def hand_over(self) -> bool:
        """Answer at once if a connection is there already, though no event has said so yet; tell whether one was."""

    def reason(self, error_number: int) -> str:
        """Say in words which address was missed, and how."""


def silence_of(attempt: Trying | None, host: str) -> tuple[End, str]:
    """Say what it means that *attempt*, or the look-up of *host* before it, had no answer in time."""
    if attempt is None:
        return End.CONNECT_UNRESOLVED, f"{host}: no answer from the name service in time"
    if attempt.shaking_hands:
        return End.HANDSHAKE_FAILED, f"{attempt.address}: the handshake timed out"
    return End.CONNECT_TIMEOUT, f"{attempt.address}: no answer in time"


class Attempt:
    """Connect to one IP address of an endpoint.

    Resource handling: the socket is closed by a reset at a failure and by `cancel`, since an established one must
    never look like an orderly, empty stream; on success it goes to the owner inside its leg.

    Attributes:
        owner: who is told.
        host: the IP address.
        address: ADDRESS:PORT as logs write it.
        socket: what is being connected; None before `start` and once the attempt is over.
    """

    __slots__ = ("_codec", "_endpoint", "_leg", "_upstream", "address", "host", "owner", "socket")

    def __init__(self, host: str, endpoint: ServedEndpoint, upstream: Upstream, owner: AttemptOwner[Attempt]) -> None:
        self.owner = owner
        self.host = host
        self.address = written(host, endpoint.port)
        self.socket: socket.SocketType | None = None
        self._endpoint = endpoint
        self._upstream = upstream
        self._leg: Leg | None = None
        self._codec: Codec | None = None

    @property
    def shaking_hands(self) -> bool:
        """Tell whether the address has accepted, and the handshake goes on."""
        return self._leg is not None

    @property
    def others(self) -> int:
        """Count no other address."""
        return 0

    def start(self) -> int:
        """Begin to connect; return 0, or the errno of a failure on the spot, which the owner is not told again.

        The owner of the leg has to call `tcp.acknowledge`, see `tcp.delay_acknowledgement`.
        """
        context = self._upstream.context
        try:
            sock = dialling_socket(self.host)
        except OSError as error:
            return error.errno or errno.EIO
        if context.delay_acknowledgement:
            tcp.delay_acknowledgement(sock)
        error_number = sock.connect_ex((self.host, self._endpoint.port))
        if error_number not in {0, errno.EINPROGRESS}:
            sock.close()
            return error_number
        self.socket = sock
        try:
            context.poller.register(sock, self._on_events)
        except OSError:
            self.cancel()
            raise
        return 0

    def cancel(self) -> None:
        """End the attempt without an answer, and close its socket by a reset."""
        sock, self.socket = self.socket, None
        if sock is not None:
            reset_on_close(sock)
            self._upstream.context.poller.close(sock)

    abandon = cancel

    def pass_over(self) -> bool:
        """Do nothing: there is no other address."""
        return False

    def lose(self) -> None:
        """End the attempt because another was faster: one that got through is closed in order."""
        sock, self.socket = self.socket, None
        if sock is not None:
            part(sock, self._upstream.context)

    def hand_over(self) -> bool:
        """Answer at once if the connection is there already, though no event has said so yet; tell whether it was."""
        if self.socket is None or self._leg is not None or self._upstream.credentials is not None:
            return False
        try:
            self.socket.getpeername()
        except OSError:
            return False
        self._connected(self.socket, 0, 0)
        return True

    def reason(self, error_number: int) -> str:
        """Say in words which address was missed, and how."""
        return f"{self.address}: {os.strerror(error_number)}"

    def _on_events(self, mask: int) -> None:
        sock = self.socket
        if sock is None:
            return
        if mask & poller.ERROR:
            error_number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error_number in _ONCE_CONNECTED:
                self._connected(sock, mask, error_number)
            else:
                self.cancel()
                self.owner.missed(self, error_number)
        elif mask & poller.OUT:
            if self._endpoint.port >= first_ephemeral_port() and met_itself(sock):
                self.cancel()
                self.owner.missed(self, errno.ECONNREFUSED)
            else:
                self._connected(sock, mask, 0)

    def _connected(self, sock: socket.SocketType, mask: int, error_number: int) -> None:
        """Hand the connection over, or shake hands on it first."""
        leg = Leg(sock)
        leg.error = error_number
        leg.note(mask)
        credentials = self._upstream.credentials
        if credentials is None:
            self.socket = None
            self.owner.connected(self, leg)
        elif error_number:
            self._handshake_failed(os.strerror(error_number))
        else:
            self._shake_hands(leg, credentials)

    def _shake_hands(self, leg: Leg, credentials: Credentials) -> None:
        from ambassador.tunnel.handshake import Handshake

        self._leg = leg
        leg.codec = self._codec = codec = credentials.tunnel.codec(self._endpoint.host)
        handshake = Handshake(leg.socket, codec, done=self._proven, failed=self._handshake_failed)
        self._upstream.context.poller.set_handler(leg.socket, handshake.on_events)
        self.owner.handshake_begins(self)
        handshake.start()

    def _proven(self) -> None:
        leg, codec, credentials = self._leg, self._codec, self._upstream.credentials
        assert leg is not None and codec is not None and credentials is not None  # noqa: S101, PT018 - its handshake
        self._leg = None
        if credentials.removed(codec):
            self._begin_again()
            return
        self.socket = None
        leg.readable = True  # what came along with the handshake's end was read already, and no event tells of it
        self.owner.connected(self, leg)

    def _begin_again(self) -> None:
        """Connect anew, by the present keys or authorities: by these the peer has proven nothing."""
        self.cancel()
        error_number = self.start()
        if error_number:
            self.owner.missed(self, error_number)

    def _handshake_failed(self, reason: str) -> None:
        self.cancel()
        self.owner.handshake_failed(self, reason)
