"""One attempt: connect to one address, and shake hands where there is a tunnel."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.net import poller, tcp
from ambassador.net.address import written
from ambassador.net.local import first_ephemeral_port
from ambassador.net.sockets import dialling_socket, met_itself
from ambassador.net.tcp import reset_on_close
from ambassador.relay import Leg

if TYPE_CHECKING:
    from ambassador.net.poller import Poller
    from ambassador.tunnel import Credentials
    from ambassador.upstream.endpoint import ServedEndpoint

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
# Misses that are worth another round: the upstream may be starting, or this machine short of something for a moment.
PASSING = frozenset({*_ENDS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})


def end_of(error_number: int) -> End:
    """Return the ending of a connection whose dial failed by this errno."""
    return _ENDS.get(error_number, End.CONNECT_FAILED)


class AttemptOwner(Protocol):
    """Who makes an attempt and keeps its deadline. Gets exactly one answer unless it cancels.

    After `connected` the leg and its socket are the owner's to close; after a failure nothing is left to close.
    """

    def connected(self, leg: Leg) -> None:
        """Take over a leg that is connected, registered with the poller, its handshake done if there is one."""

    def missed(self, error_number: int) -> None:
        """Take note that nobody was reached, by the errno of connect(2)."""

    def handshake_begins(self) -> None:
        """Take note that the address accepted, and now has to prove itself."""

    def handshake_failed(self, reason: str) -> None:
        """Take note that the address accepted and did not prove itself."""


class Attempt:
    """Connect to one IP address of an endpoint.

    Resource handling: the socket is closed by a reset at a failure and by `cancel`, since an established one must
    never look like an orderly, empty stream; on success it goes to the owner inside its leg.

    Attributes:
        address: ADDRESS:PORT as logs write it.
        socket: what is being connected; None before `start` and once the attempt is over.
    """

    __slots__ = ("_credentials", "_endpoint", "_host", "_leg", "_owner", "_poller", "address", "socket")

    def __init__(
        self, host: str, endpoint: ServedEndpoint, poller: Poller, credentials: Credentials | None, owner: AttemptOwner
    ) -> None:
        self._host = host
        self._endpoint = endpoint
        self._poller = poller
        self._credentials = credentials
        self._owner = owner
        self._leg: Leg | None = None
        self.address = written(host, endpoint.port)
        self.socket: socket.SocketType | None = None

    @property
    def shaking_hands(self) -> bool:
        """Tell whether the address has accepted, and the handshake goes on."""
        return self._leg is not None

    def start(self, *, delay_acknowledgement: bool) -> int:
        """Begin to connect; return 0, or the errno of a failure on the spot, which the owner is not told again.

        *delay_acknowledgement*: see `tcp.delay_acknowledgement`; the owner of the leg has to call `tcp.acknowledge`.
        """
        try:
            sock = dialling_socket(self._host)
        except OSError as error:
            return error.errno or errno.EIO
        if delay_acknowledgement:
            tcp.delay_acknowledgement(sock)
        error_number = sock.connect_ex((self._host, self._endpoint.port))
        if error_number not in {0, errno.EINPROGRESS}:
            sock.close()
            return error_number
        self.socket = sock
        self._poller.register(sock, self._on_events)
        return 0

    def cancel(self) -> None:
        """End the attempt without an answer, and close its socket."""
        sock, self.socket = self.socket, None
        if sock is not None:
            reset_on_close(sock)
            self._poller.close(sock)

    def hand_over(self) -> bool:
        """Answer at once if the connection is there already, though no event has said so yet; tell whether it was."""
        if self.socket is None or self._leg is not None or self._credentials is not None:
            return False
        try:
            self.socket.getpeername()
        except OSError:
            return False
        self._connected(self.socket, 0, 0)
        return True

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
                self._owner.missed(error_number)
        elif mask & poller.OUT:
            if self._endpoint.port >= first_ephemeral_port() and met_itself(sock):
                self.cancel()
                self._owner.missed(errno.ECONNREFUSED)
            else:
                self._connected(sock, mask, 0)

    def _connected(self, sock: socket.SocketType, mask: int, error_number: int) -> None:
        """Hand the connection over, or shake hands on it first."""
        leg = Leg(sock)
        leg.error = error_number
        leg.note(mask)
        if self._credentials is None:
            self.socket = None
            self._owner.connected(leg)
        elif error_number:
            self._handshake_failed(os.strerror(error_number))
        else:
            self._shake_hands(leg, self._credentials)

    def _shake_hands(self, leg: Leg, credentials: Credentials) -> None:
        from ambassador.tunnel.handshake import Handshake

        self._leg = leg
        leg.codec = codec = credentials.tunnel.codec(self._endpoint.host)
        handshake = Handshake(leg.socket, codec, done=self._proven, failed=self._handshake_failed)
        self._poller.set_handler(leg.socket, handshake.on_events)
        self._owner.handshake_begins()
        handshake.start()

    def _proven(self) -> None:
        leg, self._leg, self.socket = self._leg, None, None
        assert leg is not None  # noqa: S101 - whose handshake this was
        leg.readable = True  # what came along with the handshake's end was read already, and no event tells of it
        self._owner.connected(leg)

    def _handshake_failed(self, reason: str) -> None:
        self.cancel()
        self._owner.handshake_failed(reason)
