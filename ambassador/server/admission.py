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

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from ambassador.net.clock import Clock
    from ambassador.net.deadlines import Deadlines
    from ambassador.relay import Leg
    from ambassador.tunnel import Codec, Credentials
    from ambassador.tunnel.handshake import Handshake

    Network = IPv4Network | IPv6Network

# Why somebody is refused who began when he was still trusted.
REMOVED = "the key or the authority of the peer was removed before it was admitted"
# Strangers may hold this many handshakes open at once, and no more than a quarter of all connections: beyond it the
# oldest goes. A burst of that many true clients still has time to prove itself.
MOST_PENDING = 1024


class Pending:
    """The admissions that are under way, of all routes of a process; beyond *most* of them the oldest goes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Admission, None] = {}

    def add(self, admission: Admission) -> None:
        """Hold an admission that has begun."""
        self._held[admission] = None
        if len(self._held) > self._most:
            next(iter(self._held)).crowded_out()

    def remove(self, admission: Admission) -> None:
        """Let go of an admission that is over."""
        self._held.pop(admission, None)


class Gate:
    """What every client of a route has to pass.

    Attributes:
        guarded: somebody may be refused, or has something to prove.
    """

    def __init__(
        self, *, allow: tuple[Network, ...], proxy_from: tuple[Network, ...], credentials: Credentials | None,
        timeout: float, clock: Clock, deadlines: Deadlines, pending: Pending,
    ) -> None:  # fmt: skip
        self.allow = allow
        self.proxy_from = proxy_from
        self.credentials = credentials
        self.timeout = timeout
        self.guarded = bool(allow or proxy_from or credentials)
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
        return Admission(self, leg, owner, wants_header=wants_header)

    def begun(self, admission: Admission) -> None:
        """Hold an admission that has begun; the oldest goes when there are too many."""
        self._deadlines.set(admission, self._clock.time() + self.timeout)
        self._pending.add(admission)

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
    """Bring one client past the handshake and the PROXY header. Closes nothing; the gate keeps the deadline."""

    __slots__ = ("_codec", "_end", "_gate", "_handshake", "_header", "_leg", "_owner", "_wants_header")

    def __init__(self, gate: Gate, leg: Leg, owner: AdmissionOwner, *, wants_header: bool) -> None:
        self._gate = gate
        self._leg = leg
        self._owner: AdmissionOwner | None = owner
        self._wants_header = wants_header
        self._header = b""
        self._end = End.BAD_PROXY_HEADER
        self._handshake: Handshake | None = None
        self._codec: Codec | None = None

    def start(self) -> None:
        """Begin; the answer may come before this returns only if it is a refusal."""
        self._gate.begun(self)
        if self._owner is not None and self._gate.credentials is not None:
            from ambassador.tunnel.handshake import Handshake

            self._end = End.HANDSHAKE_FAILED
            self._leg.codec = self._codec = codec = self._gate.credentials.tunnel.codec()
            self._handshake = Handshake(self._leg.socket, codec, done=self._shaken, failed=self._refuse)
            self._handshake.start()

    def on_events(self, mask: int) -> None:
        """Go on after an event of the client's socket."""
        self._leg.note(mask)
        try:
            if self._handshake is not None:
                self._handshake.on_events(mask)
            elif mask & (poller.IN | poller.ENDED | poller.ERROR):
                self._read_header()
        except OSError as error:
            self._refuse(error.strerror or str(error))

    def expire(self) -> None:
        """Refuse a client that took too long."""
        self._refuse("not done in time")

    def cancel(self) -> None:
        """End without an answer."""
        self._owner = None
        self._gate.over(self)

    def crowded_out(self) -> None:
        """Refuse the client that has been at it for longest, so that another gets its turn."""
        self._refuse("too many others wait to be admitted")

    def _shaken(self) -> None:
        self._handshake = None
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
        over = False
        while not self._parse():
            if over or codec.ended or codec.broken:  # perhaps by what came along with the handshake's end
                self._refuse(codec.broken or "the connection ended within the header")
                return
            data = b"" if codec.waiting else self._leg.socket.recv(16384)
            over = not (data or codec.waiting)
            self._header += bytes(codec.decrypt(data))

    def _parse(self) -> bool:
        """Tell whether the header was there, or the client is gone by now."""
        header = decode(self._header) if self._header else None
        if header is not None:
            self._admit(header, self._header[header.size :])
        return self._owner is None

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
        self._gate.over(self)
        if owner is not None:
            owner.refused(self._end, error)
