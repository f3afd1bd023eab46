"""One client, from its admission to its line in the access log."""

from __future__ import annotations

import errno
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from ambassador.metrics import End
from ambassador.net import tcp
from ambassador.net.address import Address, unmapped, written
from ambassador.net.proxy_protocol import encode
from ambassador.net.tcp import reset_on_close
from ambassador.relay import Leg, Relay

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ambassador.metrics import RouteCounters
    from ambassador.net.poller import Poller
    from ambassador.net.proxy_protocol import Header
    from ambassador.relay import Pipes
    from ambassador.server.admission import Admission, Door
    from ambassador.server.connections import Connections
    from ambassador.upstream.dial import Dial
    from ambassador.upstream.upstream import Upstream

log = structlog.get_logger()

# Of four thousand clients at once, one in seven was seen to share its port with a dial; six in a row do not.
_ROUND = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the connections of one route share."""

    name: str
    upstream: Upstream
    counters: RouteCounters
    poller: Poller
    connections: Connections
    pipes: Pipes
    door: Door
    proxy_protocol: Literal["off", "v1", "v2"]
    access_log: Callable[..., object] | None
    keepalive: float
    traced: bool = False


class Connection:
    """Dial for a client as soon as it is here, relay, and account for it once. Closes its sockets."""

    __slots__ = (
        "_admission", "_admitted", "_destination", "_dial", "_early", "connect_seconds", "dialler", "endpoint", "id",
        "kept_alive", "leg", "peer", "progress", "quiet_since", "relay", "service", "started", "upstream",
    )  # fmt: skip

    def __init__(self, service: Service, sock: socket.SocketType, peer: tuple[str, int], number: int) -> None:
        self.service = service
        self.id = number
        self.peer = peer
        self.leg = Leg(sock)
        self.started = self.quiet_since = self._admitted = time.monotonic()
        self.progress: tuple[int, ...] = ()
        self.kept_alive = False
        self.connect_seconds: float | None = None
        self.upstream = ""
        self.endpoint = 0
        self.relay: Relay | None = None
        self.dialler: Connection | None = None
        self._dial: Dial | None = None
        self._admission: Admission | None = None
        self._early = b""
        self._destination: Address | None = None

    @property
    def client_address(self) -> str:
        """The client as logs write it."""
        return written(*self.peer)

    @property
    def admitted_yet(self) -> bool:
        """Tell whether the client has proven itself, so that its upstream is dialled, or was."""
        return self._admission is None

    def start(self) -> None:
        """Dial at once, or as soon as the client is admitted: in many protocols the server speaks first."""
        service = self.service
        service.counters.active += 1
        if service.traced:
            log.debug("connection.accepted", id=self.id, route=service.name, client=self.client_address)
        try:
            self._begin()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            if self._admission is not None:
                self._admission.cancel()
                self._admission = None
            self.dial_broke(error)

    def _begin(self) -> None:
        poller, door = self.service.poller, self.service.door
        if door.guarded and door.refuses(self.peer[0]):
            poller.register(self.leg.socket, self.leg.note)
            self._drop_client(End.NOT_ALLOWED, None)
            return
        if door.guarded:
            self._admission = door.admission(self.leg, self.peer[0], self)
        if self._admission is None:
            poller.register(self.leg.socket, self._while_dialling)
            self._begin_dial()
        else:
            poller.register(self.leg.socket, self._admission.on_events)
            self._admission.start()

    def admitted(self, header: Header | None, early: bytes) -> None:
        """Dial for a client that has proven itself, and perhaps named another client whom it speaks for."""
        self._admission = None
        self._admitted = time.monotonic()
        self._early = early
        if header is not None and header.source is not None:
            self.peer = (header.source.host, header.source.port)
            self._destination = header.destination
        self.service.poller.set_handler(self.leg.socket, self._while_dialling)
        self._begin_dial()

    def _begin_dial(self) -> None:
        if self.service.traced:
            log.debug("connection.dialling", id=self.id, route=self.service.name, client=self.client_address)
        self._dial = self.service.upstream.dial(self)

    def refused(self, end: End, error: str) -> None:
        """Reset a client that has not proven itself."""
        self._admission = None
        self._drop_client(end, error)

    def dialled(self, leg: Leg, address: str, endpoint: int) -> None:
        """Relay between the client and the upstream that its dial brought."""
        service = self.service
        self._dial = None
        self.upstream = address
        self.endpoint = endpoint
        self.connect_seconds = time.monotonic() - self._admitted
        service.counters.connect.observe(self.connect_seconds)
        if service.traced:
            log.debug("connection.connected", id=self.id, upstream=address, after=round(self.connect_seconds, 6))
        self.relay = relay = Relay(self.leg, leg, service.poller, service.pipes, self)
        if self._early:
            relay.up.begin_with(self._early)
            self._early = b""
        try:
            if service.proxy_protocol != "off":
                self._send_header(leg)
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            relay.fail(error)
        else:
            relay.start()

    def _send_header(self, leg: Leg) -> None:
        """Tell the upstream who the client is, before its first byte; an empty send queue takes it whole."""
        destination = self._destination
        if destination is None:
            host, port = self.leg.socket.getsockname()[:2]
            destination = Address(unmapped(host), port)
        source = Address(*self.peer)
        version = self.service.proxy_protocol
        header = encode("v1" if version == "v1" else "v2", source, destination)
        if leg.codec is not None:
            header = leg.codec.encrypt(memoryview(header))
        try:
            sent = leg.socket.send(header)
        except OSError as error:
            # send() has taken the socket's error: no event will tell of it, and a read would take it for an end.
            leg.error = leg.error or error.errno or errno.ECONNRESET
        else:
            if sent < len(header):  # nothing must follow half a header
                leg.error = leg.error or errno.ENOBUFS

    def dial_failed(self, end: End, error: str) -> None:
        """Reset the client: it must never see an orderly, empty stream (contract with every application)."""
        self._dial = None
        self._drop_client(end, error)

    def dial_broke(self, error: Exception) -> None:
        """Reset the client because of an error of our own."""
        self._dial = None
        self._tell(error)
        self._drop_client(End.FAILED, f"{type(error).__name__}: {error}")

    def relay_over(self, end: End, reason: str = "") -> None:
        """Account for the connection, whose relay has closed both sockets."""
        if end == End.UPSTREAM_RESET and self.relay is not None and self.relay.down.moved == 0:
            # At a target ambassador nothing else tells of trouble behind the next hop.
            self.service.upstream.health[self.endpoint].early_resets += 1
        self._account(end, reason or None)

    def relay_failed(self, error: Exception) -> None:
        """Account for a connection that an error of ours ended."""
        self._tell(error)
        self._account(End.FAILED, f"{type(error).__name__}: {error}")

    def _tell(self, error: Exception) -> None:
        log.debug("connection.failed", id=self.id, traceback="".join(traceback.format_exception(error)))

    def cut(self, end: End) -> None:
        """End the connection by a reset of both sides, whatever it is doing."""
        if self.relay is not None:
            self.relay.cut()
            self._account(end, None)
        elif self._admission is not None:
            self._admission.cancel()
            self.refused(end, "")
        elif self._dial is not None:
            self._dial.cancel()
            self._dial = None
            self._drop_client(end, None)

    def keep_alive(self) -> None:
        """Turn keepalive on towards the upstream; the client's socket has it from its listener."""
        if self.relay is not None and not self.kept_alive:
            self.kept_alive = True
            tcp.bound_backoff(self.relay.upstream.socket)
            if self.service.keepalive:
                tcp.set_keepalive(self.relay.upstream.socket, self.service.keepalive)

    def dials_from(self, address: tuple[str, int]) -> bool:
        """Tell whether this connection's own socket towards the upstream has *address*."""
        sock = self.relay.upstream.socket if self.relay is not None else self._dial.connecting if self._dial else None
        return sock is not None and sock.getsockname()[:2] == address

    def goes_round(self) -> bool:
        """End a row of connections each of which is the dial of the one before; tell whether this is the last of one.

        An address alone proves nothing: the kernel gives clients of this machine the ports that it gives to our own
        dials, if they go elsewhere. But that happens once, and not to each of a row.
        """
        row = [self]
        while row[-1].dialler is not None:
            row.append(row[-1].dialler)
        if len(row) < _ROUND:
            return False
        for connection in row:
            upstream = connection.service.upstream
            connection.refuse(upstream.own_dial(connection.upstream or upstream.route.source))
        return True

    def refuse(self, error: str) -> None:
        """End a connection whose dial reached the wrong place."""
        if self.relay is not None and not self.relay.over:
            self.relay.cut()
            self._account(End.CONNECT_FAILED, error)
        elif self._dial is not None:
            self._dial.refuse(error)

    def _while_dialling(self, mask: int) -> None:
        """Keep what the client does for later, unless it is gone: its end of stream may be a half-close."""
        self.leg.note(mask)
        if self.leg.error and self._dial is not None and not self._dial.hand_over():
            self._dial.cancel()
            self._dial = None
            self._drop_client(End.CLIENT_GONE, None)

    def _drop_client(self, end: End, error: str | None) -> None:
        reset_on_close(self.leg.socket)
        self.service.poller.close(self.leg.socket)
        self._account(end, error)

    def _account(self, end: End, error: str | None) -> None:
        """Count the connection and log it, exactly once."""
        service, relay = self.service, self.relay
        seconds = time.monotonic() - self.started
        up, down = (relay.up.moved, relay.down.moved) if relay is not None else (0, 0)
        self.relay = self.dialler = None
        counters = service.counters
        counters.active -= 1
        counters.ends[end] += 1
        counters.bytes_up += up
        counters.bytes_down += down
        counters.connection.observe(seconds)
        service.connections.remove(self)
        if service.access_log is not None:
            optional = {"error": error} if error else {}
            service.access_log(
                "connection.closed",
                id=self.id,
                route=service.name,
                client=self.client_address,
                upstream=self.upstream,
                connect_ms=None if self.connect_seconds is None else round(self.connect_seconds * 1000, 3),
                seconds=round(seconds, 3),
                bytes_up=up,
                bytes_down=down,
                end=end,
                **optional,
            )
