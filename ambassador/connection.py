"""One client, from its admission to its line in the access log."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import structlog

from ambassador.address import Address, unmapped
from ambassador.relay import Leg, Relay, kernel, reset_on_close

if TYPE_CHECKING:
    import socket

    from ambassador.connections import Connections
    from ambassador.metrics import RouteCounters
    from ambassador.poller import Poller
    from ambassador.relay import Pipes
    from ambassador.upstream.dial import Dial
    from ambassador.upstream.upstream import Upstream

log = structlog.get_logger()


class Service:
    """What the connections of one route share."""

    def __init__(
        self, name: str, *, upstream: Upstream, counters: RouteCounters, poller: Poller, connections: Connections,
        pipes: Pipes, access_log: bool, keepalive: float,
    ) -> None:  # fmt: skip
        self.name = name
        self.upstream = upstream
        self.counters = counters
        self.poller = poller
        self.connections = connections
        self.pipes = pipes
        self.access_log = access_log
        self.keepalive = keepalive


class Connection:
    """Dial for a client as soon as it is here, relay, and account for it once. Closes its sockets."""

    __slots__ = (
        "_dial", "connect_seconds", "endpoint", "id", "kept_alive", "last_moved", "leg", "peer", "quiet_since", "relay",
        "service", "started", "upstream",
    )  # fmt: skip

    def __init__(self, service: Service, sock: socket.socket, peer: tuple[str, int], *, number: int) -> None:
        self.service = service
        self.id = number
        self.peer = peer
        self.leg = Leg("client", sock)
        self.started = self.quiet_since = service.poller.loop.time()
        self.last_moved = 0
        self.kept_alive = False
        self.connect_seconds: float | None = None
        self.upstream = ""
        self.endpoint = 0
        self.relay: Relay | None = None
        self._dial: Dial | None = None

    @property
    def client_address(self) -> str:
        """The client as logs write it."""
        return str(Address(unmapped(self.peer[0]), self.peer[1]))

    def start(self) -> None:
        """Dial at once: in many protocols the server speaks first."""
        service = self.service
        service.counters.active += 1
        service.poller.register(self.leg.socket, self._while_dialling)
        self._dial = service.upstream.dial(self)

    def dialled(self, sock: socket.socket, mask: int, address: str, endpoint: int) -> None:
        """Relay between the client and the socket that its dial brought."""
        service = self.service
        self._dial = None
        self.upstream = address
        self.endpoint = endpoint
        self.connect_seconds = service.poller.loop.time() - self.started
        service.counters.connect.observe(self.connect_seconds)
        upstream = Leg("upstream", sock)
        upstream.note(mask)
        self.relay = Relay(self.leg, upstream, poller=service.poller, pipes=service.pipes, owner=self)
        self.relay.start()

    def dial_failed(self, end: str, error: str) -> None:
        """Reset the client: it must never see an orderly, empty stream (contract with every application)."""
        self._dial = None
        self._drop_client(end, error)

    def relay_over(self, end: str) -> None:
        """Account for the connection, whose relay has closed both sockets."""
        self._account(end, None)

    def relay_failed(self, error: Exception) -> None:
        """Account for a connection that an error of ours ended."""
        log.debug("connection.failed", id=self.id, traceback="".join(traceback.format_exception(error)))
        self._account("failed", f"{type(error).__name__}: {error}")

    def cut(self, end: str) -> None:
        """End the connection by a reset of both sides, whatever it is doing."""
        if self.relay is not None:
            if not self.relay.over:
                self.relay.cut()
                self._account(end, None)
            return
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
            self._drop_client(end, None)

    def keep_alive(self) -> None:
        """Turn keepalive on towards the upstream; the client's socket has it from its listener."""
        if self.relay is not None and not self.kept_alive:
            self.kept_alive = True
            if self.service.keepalive:
                kernel.set_keepalive(self.relay.upstream.socket, self.service.keepalive)

    def dials_from(self, address: tuple[str, int]) -> bool:
        """Tell whether this connection's own socket towards the upstream has *address*."""
        sock = self.relay.upstream.socket if self.relay is not None else self._dial.connecting if self._dial else None
        return sock is not None and sock.getsockname()[:2] == address

    def refuse(self, error: str) -> None:
        """End a connection whose dial reached the wrong place."""
        if self.relay is not None and not self.relay.over:
            self.relay.cut()
            self._account("connect_failed", error)
        elif self._dial is not None:
            self._dial.refuse(error)

    def _while_dialling(self, mask: int) -> None:
        """Keep what the client does for later, unless it is gone: its end of stream may be a half-close."""
        self.leg.note(mask)
        if self.leg.error and self._dial is not None:
            self._dial.cancel()
            self._dial = None
            self._drop_client("client_gone", None)

    def _drop_client(self, end: str, error: str | None) -> None:
        reset_on_close(self.leg.socket)
        self.service.poller.close(self.leg.socket)
        self._account(end, error)

    def _account(self, end: str, error: str | None) -> None:
        """Count the connection and log it, exactly once."""
        service, relay = self.service, self.relay
        seconds = service.poller.loop.time() - self.started
        up, down = (relay.up.moved, relay.down.moved) if relay is not None else (0, 0)
        self.relay = None
        counters = service.counters
        counters.active -= 1
        counters.ends[end] += 1
        counters.bytes_up += up
        counters.bytes_down += down
        counters.connection.observe(seconds)
        service.connections.remove(self)
        if service.access_log:
            optional = {"error": error} if error else {}
            log.info(
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
