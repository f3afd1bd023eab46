"""One client, from its admission to its line in the access log."""

from __future__ import annotations

import time
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from ambassador.errors import described
from ambassador.metrics import End
from ambassador.net import poller, tcp
from ambassador.net.address import Address, written
from ambassador.relay import Leg, Relay
from ambassador.server.proxy_header import address_of, send_header

if TYPE_CHECKING:
    import socket

    from ambassador.net.proxy_protocol import Header
    from ambassador.server.admission import Admission
    from ambassador.server.route import ServedRoute
    from ambassador.upstream.dial import Dial
    from ambassador.upstream.endpoint import ServedEndpoint

log = structlog.get_logger()


class Phase(StrEnum):
    """Where a connection stands; each is entered once, in this order, and some are passed over."""

    ADMITTING = "admitting"  # the client has yet to prove itself
    DIALLING = "dialling"
    RELAYING = "relaying"
    OVER = "over"  # out of the books


class Connection:
    """Dial for a client as soon as it is here, relay, and account for it once.

    Resource handling: owns the client's socket until there is a relay, which owns both sockets and closes them. While
    it is dialled for, the dial owns the upstream's.
    Error handling: a fault of ours ends this connection as `failed`, with its traceback at debug, and no other.

    Attributes:
        id: its number, unlike that of any other of this process or its siblings.
        peer: host and port of the client, or of whom it speaks for by a PROXY header.
        leg: the client's side.
        phase: where it stands.
        started: monotonic time of its arrival, in seconds.
        connect_seconds: from its admission to its connected upstream; None before that.
        upstream: the address that was reached, HOST:PORT; empty before that.
        endpoint: what that is an address of; None before that.
        relay: what copies; None before and after.
        looped_from: the connection whose dial this may be, brought back; see `SelfDials`.
        kept_alive: the upstream's socket has keepalive.
        progress, quiet_since: what `Timeouts` saw last, and since when.
    """

    __slots__ = (
        "_admission", "_admitted", "_destination", "_dial", "_early", "connect_seconds", "endpoint", "id", "kept_alive",
        "leg", "looped_from", "peer", "phase", "progress", "quiet_since", "relay", "route", "started", "upstream",
    )  # fmt: skip

    def __init__(self, route: ServedRoute, sock: socket.SocketType, peer: tuple[str, int], number: int) -> None:
        self.route = route
        self.id = number
        self.peer = peer
        self.leg = Leg(sock)
        self.phase = Phase.ADMITTING
        self.started = self.quiet_since = self._admitted = time.monotonic()
        self.progress: tuple[int, ...] = ()
        self.kept_alive = False
        self.connect_seconds: float | None = None
        self.upstream = ""
        self.endpoint: ServedEndpoint | None = None
        self.relay: Relay | None = None
        self.looped_from: Connection | None = None
        self._dial: Dial | None = None
        self._admission: Admission | None = None
        self._early = b""
        self._destination: Address | None = None

    @property
    def client_address(self) -> str:
        """The client as logs write it."""
        return written(*self.peer)

    @property
    def state(self) -> str:
        """Where it stands, as `/connections` and `status` say it."""
        relay = self.relay
        return "half-closed" if relay is not None and relay.up.over != relay.down.over else self.phase.value

    @property
    def upstream_socket(self) -> socket.SocketType | None:
        """Its own socket towards the upstream, connected or not yet; None where there is none."""
        if self.relay is not None:
            return self.relay.upstream.socket
        return self._dial.connecting if self._dial is not None else None

    def start(self) -> None:
        """Dial at once, or as soon as the client is admitted: in many protocols the server speaks first."""
        route = self.route
        route.counters.active += 1
        if route.debug:
            log.debug("connection.accepted", id=self.id, route=route.name, client=self.client_address)
        try:
            self._begin()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            if self._admission is not None:
                self._admission.cancel()
                self._admission = None
            self.dial_broke(error)

    def _begin(self) -> None:
        sock, register, gate = self.leg.socket, self.route.poller.register, self.route.gate
        if gate.guarded and gate.refuses(self.peer[0]):
            register(sock, self.leg.note)
            self._drop_client(End.NOT_ALLOWED, None)
            return
        if gate.guarded:
            self._admission = gate.admission(self.leg, self.peer[0], self)
        if self._admission is None:
            register(sock, self._while_dialling)
            self._begin_dial()
        else:
            register(sock, self._admission.on_events)
            self._admission.start()

    def admitted(self, header: Header | None, early: bytes) -> None:
        """Dial for a client that has proven itself, and perhaps named another client whom it speaks for."""
        self._admission = None
        self._admitted = time.monotonic()
        self._early = early
        if header is not None and header.source is not None:
            self.peer = (header.source.host, header.source.port)
            self._destination = header.destination
        self.route.poller.set_handler(self.leg.socket, self._while_dialling)
        self._begin_dial()

    def _begin_dial(self) -> None:
        self.phase = Phase.DIALLING
        if self.route.debug:
            log.debug("connection.dialling", id=self.id, route=self.route.name, client=self.client_address)
        dial = self.route.upstream.dial(self)
        if not dial.over:
            self._dial = dial
            if self.leg.finishing:
                dial.client_ends(silent=self._silent())

    def refused(self, end: End, error: str) -> None:
        """Reset a client that has not proven itself."""
        self._admission = None
        self._drop_client(end, error)

    def dialled(self, leg: Leg, address: str, endpoint: ServedEndpoint) -> None:
        """Relay between the client and the upstream that its dial brought."""
        route = self.route
        self._dial = None
        self.upstream = address
        self.endpoint = endpoint
        self.connect_seconds = time.monotonic() - self._admitted
        route.places.relays()
        self.relay = relay = Relay(self.leg, leg, route.poller, route.pipes, self)
        self.phase = Phase.RELAYING
        try:
            route.counters.connect.observe(self.connect_seconds)
            if route.debug:
                log.debug("connection.connected", id=self.id, upstream=address, after=round(self.connect_seconds, 6))
            if self._early:
                relay.up.begin_with(self._early)
                self._early = b""
            if route.proxy_protocol != "off":
                destination = self._destination or address_of(self.leg.socket)
                send_header(leg, route.proxy_protocol, Address(*self.peer), destination)
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            relay.fail(error)
        else:
            relay.start()

    def dial_failed(self, end: End, error: str) -> None:
        """Reset the client: it must never see an orderly, empty stream (contract with every application)."""
        self._dial = None
        self._drop_client(end, error)

    def dial_broke(self, error: Exception) -> None:
        """Reset the client because of an error of our own."""
        self._dial = None
        self._trace(error)
        self._drop_client(End.FAILED, described(error))

    def relay_over(self, end: End, reason: str = "") -> None:
        """Account for the connection, whose relay has closed both sockets."""
        if end is End.UPSTREAM_RESET and self.endpoint is not None and self.relay is not None:
            # At a target ambassador nothing else tells of trouble behind the next hop.
            self.endpoint.health.early_resets += self.relay.down.moved == 0
        self._account(end, reason or None)

    def relay_failed(self, error: Exception) -> None:
        """Account for a connection that an error of ours ended; report one that comes too late for that, too."""
        if self.phase is Phase.OVER:
            self.route.poller.report(error)
        else:
            self._trace(error)
            self._account(End.FAILED, described(error))

    def _trace(self, error: Exception) -> None:
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
        if self._dial is None:
            return
        if not self.leg.error:
            if mask & poller.ENDED:
                self._dial.client_ends(silent=self._silent())
        elif not self._dial.hand_over():
            self._dial.cancel()
            self._dial = None
            self._drop_client(End.CLIENT_GONE, None)

    def _silent(self) -> bool:
        """Tell whether nothing waits to be read from the client."""
        return not self._early and tcp.nothing_to_read(self.leg.socket)

    def _drop_client(self, end: End, error: str | None) -> None:
        tcp.reset_on_close(self.leg.socket)
        self.route.poller.close(self.leg.socket)
        self._account(end, error)

    def _account(self, end: End, error: str | None) -> None:
        """Let go of the connection, then count it and log it, each exactly once.

        In this order: whatever fails here, nobody waits for a connection that is over.
        """
        seconds = time.monotonic() - self.started
        up, down = (self.relay.up.moved, self.relay.down.moved) if self.relay is not None else (0, 0)
        self._let_go()
        try:
            self._count(end, seconds, up, down)
        except Exception as fault:  # noqa: BLE001 - a fault of ours is told, and counted as what it is
            self._trace(fault)
            end, error = End.FAILED, described(fault)
            self._count(end, seconds, up, down)
        if self.route.access_log is not None:
            optional = {"error": error} if error else {}
            self.route.access_log(
                "connection.closed",
                id=self.id,
                route=self.route.name,
                client=self.client_address,
                upstream=self.upstream,
                connect_ms=None if self.connect_seconds is None else round(self.connect_seconds * 1000, 3),
                seconds=round(seconds, 3),
                bytes_up=up,
                bytes_down=down,
                end=end,
                **optional,
            )

    def _let_go(self) -> None:
        self.phase = Phase.OVER
        self.relay = self.looped_from = None
        if self.endpoint is not None:
            self.endpoint.live -= 1
        self.route.counters.active -= 1
        self.route.places.leave(waiting=self.connect_seconds is None)
        self.route.connections.remove(self)

    def _count(self, end: End, seconds: float, up: int, down: int) -> None:
        counters = self.route.counters
        counters.ends[end] += 1
        counters.bytes_up += up
        counters.bytes_down += down
        counters.connection.observe(seconds)
