"""Who may connect, and who the client is: networks, the tunnel's handshake, the PROXY header.

Nothing is dialled for a client that is not admitted, and none may take longer over it than a dial may.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.net import poller
from ambassador.net.proxy_protocol import LONGEST, Header, ProxyHeaderError, decode
from ambassador.server.pending import network_of

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from ambassador.net.clock import Clock
    from ambassador.net.deadlines import Deadlines
    from ambassador.relay import Leg
    from ambassador.server.pending import Pending
    from ambassador.server.strangers import Strangers
    from ambassador.tunnel import Codec, Credentials
    from ambassador.tunnel.handshake import Handshake

    Network = IPv4Network | IPv6Network

# Why somebody is refused who began when he was still trusted.
REMOVED = "the key or the authority of the peer was removed before it was admitted"
# Of a handshake, read in one step: more than a whole flight without a long chain of certificates. Cut into records of
# one byte it costs a third of a millisecond.
_STEP_BYTES = 4096
_INPUT = poller.IN | poller.ENDED | poller.ERROR


class Gate:
    """What every client of a route has to pass.

    Attributes:
        guarded: somebody may be refused, or has something to prove.
        strangers: does the work for those who are not admitted.
    """

    def __init__(
        self, *, allow: tuple[Network, ...], proxy_from: tuple[Network, ...], credentials: Credentials | None,
        timeout: float, clock: Clock, deadlines: Deadlines, pending: Pending, strangers: Strangers,
    ) -> None:  # fmt: skip
        self.allow = allow
        self.proxy_from = proxy_from
        self.credentials = credentials
        self.timeout = timeout
        self.guarded = bool(allow or proxy_from or credentials)
        self.strangers = strangers
        self._clock = clock
        self._deadlines = deadlines
        self._pending = pending

    def refuses(self, peer: str) -> bool:
        """Tell whether connections from *peer* are not allowed at all."""
        return bool(self.allow) and not _within(peer, self.allow)

    def admission(self, leg: Leg, peer: str, owner: AdmissionOwner) -> Admission | None:
        """Return what the client has to go through; None when it may come in as it is. Started by the caller."""
        wants_header = bool(self.proxy_from) and _within(peer, self.proxy_from)
        if self.credentials is None and not wants_header:
            return None
        return Admission(self, leg, owner, network_of(peer), wants_header=wants_header)

    def begun(self, admission: Admission) -> None:
        """Hold an admission that has begun; another one goes when there are too many."""
        self._deadlines.set(admission, self._clock.time() + self.timeout)
        self._pending.add(admission)

    def speaks(self, admission: Admission) -> None:
        """Take note that the client has sent something."""
        self._pending.speaks(admission)

    def over(self, admission: Admission) -> None:
        """Let go of an admission that is over."""
        self._pending.remove(admission)
        self._deadlines.clear(admission)


def _within(peer: str, networks: tuple[Network, ...]) -> bool:
    address = ipaddress.ip_address(peer.partition("%")[0])
    return any(address in network for network in networks)


class AdmissionOwner(Protocol):
    """Who asked for an admission, and gets exactly one answer."""

    def admitted(self, header: Header | None, early: bytes) -> None:
        """Go on with the client, of whom *early* was read already. Its leg has a codec if it came by a tunnel."""

    def refused(self, end: End, error: str) -> None:
        """Reset the client, which has not proven itself, for an `end` of the access log and a reason."""


class Admission:
    """Bring one client past the handshake and the PROXY header. Closes nothing; the gate keeps the deadline.

    An event is only noted: what is to be done waits for strangers' turn. Nothing is made for the handshake before the
    client's first byte, so that silence costs no more than a descriptor and this.

    Attributes:
        network: where the client comes from.
    """

    __slots__ = (
        "_codec", "_end", "_gate", "_handshake", "_header", "_late", "_leg", "_owner", "_queued", "_secures", "_silent",
        "_wants_header", "network",
    )  # fmt: skip

    def __init__(self, gate: Gate, leg: Leg, owner: AdmissionOwner, network: bytes, *, wants_header: bool) -> None:
        self.network = network
        self._gate = gate
        self._leg = leg
        self._owner: AdmissionOwner | None = owner
        self._wants_header = wants_header
        self._header = b""
        self._secures = gate.credentials is not None
        self._end = End.HANDSHAKE_FAILED if self._secures else End.BAD_PROXY_HEADER
        self._handshake: Handshake | None = None
        self._codec: Codec | None = None
        self._silent = True
        self._queued = self._late = False

    def start(self) -> None:
        """Begin; the answer comes before this returns only if it is a refusal. The poller tells what is there."""
        self._gate.begun(self)

    def on_events(self, mask: int) -> None:
        """Take note of an event of the client's socket."""
        self._gate.strangers.events += 1
        self._leg.note(mask)
        if mask & _INPUT:
            if self._silent:
                self._silent = False
                self._gate.speaks(self)
            self._queue()
        elif self._handshake is not None and self._handshake.unsent:
            self._queue()

    def step(self) -> None:
        """Go on as far as one read goes, when it is strangers' turn."""
        self._queued = False
        if self._owner is None:
            return
        if self._late:
            self._refuse("not done in time")
            return
        try:
            if self._secures:
                self._shake_hands()
            else:
                self._read_header()
        except OSError as error:
            self._refuse(error.strerror or str(error))

    def expire(self) -> None:
        """Have a client refused that took too long."""
        self._late = True
        self._queue()

    def cancel(self) -> None:
        """End without an answer."""
        self._owner = self._handshake = None
        self._gate.over(self)

    def crowded_out(self) -> None:
        """Refuse the client, so that another gets its turn."""
        self._refuse("too many others wait to be admitted")

    def _queue(self) -> None:
        if not self._queued and self._owner is not None:
            self._queued = True
            self._gate.strangers.add(self)

    def _shake_hands(self) -> None:
        handshake = self._handshake or self._begin_handshake()
        handshake.send_more()
        if self._handshake is None:
            return  # that was the last of it
        read = handshake.read(_STEP_BYTES)
        # A short read means that no more is there (epoll(7)), unless the end is in sight.
        if self._handshake is not None and (read == _STEP_BYTES or (read is not None and self._leg.finishing)):
            self._queue()

    def _begin_handshake(self) -> Handshake:
        from ambassador.tunnel.handshake import Handshake

        assert self._gate.credentials is not None  # noqa: S101 - the caller has looked
        self._leg.codec = self._codec = codec = self._gate.credentials.tunnel.codec()
        self._handshake = handshake = Handshake(self._leg.socket, codec, done=self._shaken, failed=self._refuse)
        return handshake

    def _shaken(self) -> None:
        self._handshake = None
        self._secures = False
        self._leg.readable = True
        if self._wants_header:
            self._end = End.BAD_PROXY_HEADER
            self._read_header()
        else:
            self._admit(None, b"")

    def _read_header(self) -> None:
        try:
            if self._leg.codec is None:
                self._peek()
            else:
                self._decrypt()
        except BlockingIOError:
            return
        except ProxyHeaderError as error:
            self._refuse(str(error))

    def _peek(self) -> None:
        """Look at what came without taking it, so that what follows the header stays where the relay finds it."""
        sock = self._leg.socket
        received = sock.recv(LONGEST, socket.MSG_PEEK)
        header = decode(received)
        if header is not None:
            sock.recv(header.size)
            self._admit(header, b"")
        elif self._leg.finishing:
            self._refuse("the connection ended within the header")

    def _decrypt(self) -> None:
        """Read the header inside the tunnel; what follows it has been read by then, and goes along."""
        codec = self._leg.codec
        assert codec is not None  # noqa: S101 - the caller has looked
        if codec.waiting:  # it came along with the handshake's end, or with what came before
            data, over = b"", False
        else:
            data = self._leg.socket.recv(_STEP_BYTES)
            over = not data
        self._header += bytes(codec.decrypt(data))
        if self._parse():
            return
        if (over and not codec.waiting) or codec.ended or codec.broken:
            self._refuse(codec.broken or "the connection ended within the header")
        else:
            self._queue()

    def _parse(self) -> bool:
        """Tell whether the header was there."""
        header = decode(self._header) if self._header else None
        if header is not None:
            self._admit(header, self._header[header.size :])
        return header is not None

    def _admit(self, header: Header | None, early: bytes) -> None:
        if self._leg.error:
            # Its reset came along with its last proof: no event will tell of that again.
            self._end = End.CLIENT_GONE
            self._refuse("")
            return
        codec, credentials = self._codec, self._gate.credentials
        if codec is not None and credentials is not None and credentials.removed(codec):
            self._end = End.HANDSHAKE_FAILED
            self._refuse(REMOVED)
            return
        owner, self._owner = self._owner, None
        self._gate.over(self)
        if owner is not None:
            owner.admitted(header, early)

    def _refuse(self, error: str) -> None:
        owner, self._owner = self._owner, None
        self._handshake = None  # which holds on to this: nothing is left for the garbage collector
        self._gate.over(self)
        if owner is not None:
            owner.refused(self._end, error)
