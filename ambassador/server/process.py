"""One serving process: STARTING, SERVING, DRAINING, STOPPED, and the signals that move it on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

import ambassador
from ambassador.errors import ConfigurationError
from ambassador.metrics import End, RouteCounters
from ambassador.net.address import unmapped
from ambassador.net.deadlines import Deadlines
from ambassador.net.limits import divide, raise_files_limit
from ambassador.net.local import LocalAddresses
from ambassador.net.poller import Poller
from ambassador.net.sockets import bind
from ambassador.relay import Pipes
from ambassador.server.admission import MOST_PENDING, Door
from ambassador.server.connection import Service
from ambassador.server.connections import Connections
from ambassador.server.listener import Listener
from ambassador.server.timeouts import Timeouts
from ambassador.upstream.resolve import Resolver
from ambassador.upstream.upstream import Upstream

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ambassador.config.configuration import Configuration
    from ambassador.config.settings import Settings
    from ambassador.log import Output
    from ambassador.net.limits import Limits
    from ambassador.server.connection import Connection
    from ambassador.tunnel import Credentials

log = structlog.get_logger()

_SWEEP_SECONDS = 1.0
# A dial that comes back is accepted in its turn or in the next, behind no more clients than turns accept.
_LATEST = 128
# To connect to the unspecified address is to connect to this machine (ip(7)).
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}
# The contract with users is ten seconds from a changed file to its use.
_LOOK_AT_KEYS = 5.0


class State(StrEnum):
    """What a process is doing, in this order."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


class Process:
    """Serve the routes of a configuration on one event loop until told to stop. Owns every socket of it.

    *share* is how many processes divide among them what the kernel allows a user, such as pages of pipes.
    """

    # A worker logs these in a name of its own.
    draining_event = "ambassador.draining"
    cut_event = "ambassador.cut"
    stopped_event = "ambassador.stopped"

    def __init__(self, configuration: Configuration, loop: asyncio.AbstractEventLoop, *, share: int = 1) -> None:
        self.configuration = configuration
        self.settings = configuration.settings
        self.loop = loop
        self.state = State.STARTING
        self.credentials = tunnel_credentials(self.settings)
        self.draining_since: float | None = None
        self.poller = Poller(loop)
        self.local = LocalAddresses()
        self.limits = limits_of(configuration)
        self._alone = share == 1
        limit = self.settings.max_connections or self.limits.connections
        self.connections = Connections(min(limit, self.limits.connections))
        self.timeouts = Timeouts(
            idle=self.settings.idle_timeout,
            half_close=self.settings.half_close_timeout,
            lifetime=self.settings.max_lifetime,
        )
        self.pipes = Pipes(max(1, self.limits.pipes // share))
        self.started = loop.time()
        self.services: list[Service] = []
        self.listeners: list[Listener] = []
        self.exit_code = 0
        self.failed = False
        self.output: Output | None = None
        self._signalled = False
        own = [address for route in configuration.routes for address in route.listen]
        if self.settings.admin is not None:
            own.append(self.settings.admin)  # a client of a route that led there would pass for one of this machine
        self._own_listens = {(address.host, address.port) for address in own}
        # At every address: of IPv4, which is what a listener at all of IPv6 takes, too, and of IPv6.
        self._own_wide_ports = tuple(
            {address.port for address in own if address.host in every} for every in (("", "::", "0.0.0.0"), ("", "::"))
        )
        self.next_id = itertools.count(1).__next__
        self._stopped = asyncio.Event()
        self._make_services()
        loop.set_exception_handler(_say_fault)

    def _make_services(self) -> None:
        deadlines, resolver = Deadlines(self.loop), Resolver(self.loop)
        settings = self.settings
        # Bound once: a logger that is not would be bound anew for every line.
        access_log = structlog.get_logger().bind().info if settings.access_log else None
        door = Door(
            allow=settings.allow,
            proxy_from=settings.proxy_protocol_from,
            credentials=self.credentials if settings.tunnel == "source" else None,
            timeout=settings.connect_timeout,
            poller=self.poller,
            deadlines=deadlines,
            most_pending=max(1, min(MOST_PENDING, (self.connections.limit or MOST_PENDING) // 4)),
        )
        for route in self.configuration.routes:
            upstream = Upstream(
                route,
                timeout=settings.connect_timeout,
                poller=self.poller,
                deadlines=deadlines,
                resolver=resolver,
                is_own=self.is_own,
                credentials=self.credentials if settings.tunnel == "target" else None,
                delay_acknowledgement=self._alone,
            )
            service = Service(
                name=route.name,
                upstream=upstream,
                counters=RouteCounters(),
                poller=self.poller,
                connections=self.connections,
                pipes=self.pipes,
                door=door,
                proxy_protocol=settings.proxy_protocol,
                access_log=access_log,
                keepalive=settings.keepalive,
                traced=settings.log_level == "debug",
            )
            self.services.append(service)

    def bind(self) -> None:
        """Bind every listener, or none.

        Raises:
            StartError: an address is in use, not ours, or not allowed.
        """
        self.take(bind_all(self.configuration))

    def take(self, sockets: Sequence[Sequence[socket.socket]]) -> None:
        """Take over the listening sockets, each route's in the order of the routes, as `bind_all` made them."""
        for service, group in zip(self.services, sockets, strict=True):
            self.listeners.extend(Listener(sock, service, self) for sock in group)

    async def serve(self) -> int:
        """Accept clients until a signal or a fault ends it; return the exit code."""
        self.heed_signals()
        for listener in self.listeners:
            listener.start()
        self.state = State.SERVING
        self.say_ready()
        self._sweep()
        if self.credentials is not None:
            self.loop.call_later(_LOOK_AT_KEYS, self._watch_keys)
        if self.timeouts.pause:
            self._cut_late()
        await self._stopped.wait()
        self.state = State.STOPPED
        log.info(self.stopped_event, exit_code=self.exit_code, seconds=round(self.loop.time() - self.started, 3))
        return self.exit_code

    def heed_signals(self) -> None:
        """Drain at SIGTERM and SIGINT, cut at the second of them, reload at SIGHUP."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
        self.loop.add_signal_handler(signal.SIGHUP, self.reload)

    def say_ready(self) -> None:
        """Log that every listener accepts."""
        log_ready(self.configuration, max_connections=self.connections.limit)

    def stop(self, reason: str) -> None:
        """Drain at the first signal, whatever began a drain before it; at the second, cut what is left."""
        if self._signalled:
            self.cut("second signal")
        else:
            self._signalled = True
            self.drain(reason)

    def drain(self, reason: str) -> None:
        """Accept no more clients after the drain's delay, and end when those that are here have ended, or are late."""
        if self.state in {State.DRAINING, State.STOPPED}:
            return
        self.state = State.DRAINING
        self.draining_since = self.loop.time()
        log.info(self.draining_event, reason=reason, live=len(self.connections.live))
        if self.settings.drain_delay:
            self.loop.call_later(self.settings.drain_delay, self._close_listeners)
        else:
            self._close_listeners()

    @property
    def dropped_lines(self) -> int:
        """How many lines of the log standard error did not take."""
        return self.output.dropped if self.output is not None else 0

    def not_ready(self) -> str | None:
        """Say why this process should not be sent traffic; None when it should."""
        return None if self.state is State.SERVING else self.state.value

    def reload(self, *, force: bool = True) -> None:
        """Read keys and certificates again; broken new ones are refused, and the old stay."""
        if self.credentials is None:
            return
        try:
            changed = self.credentials.reload(force=force)
        except ConfigurationError as error:
            for problem in error.problems:
                log.warning("tunnel.reload_failed", variable=problem.variable, problem=str(problem))
        else:
            if changed:
                log.info("tunnel.reloaded")

    def _watch_keys(self) -> None:
        self.loop.call_later(_LOOK_AT_KEYS, self._watch_keys)
        self.reload(force=False)

    def _close_listeners(self) -> None:
        """Accept no more clients, and give those that are here the drain's time."""
        if self._stopped.is_set():
            return
        for listener in self.listeners:
            listener.close()
        if not self.connections.live:
            self._stopped.set()
            return
        self.connections.on_empty = self._stopped.set
        if self.settings.drain_timeout:
            self.loop.call_later(self.settings.drain_timeout, self.cut, "drain timeout")
        else:
            self.cut("drain timeout")

    def cut(self, reason: str) -> None:
        """End the drain: reset whoever is left."""
        if self._stopped.is_set():
            return
        for listener in self.listeners:
            listener.close()
        cut = self.connections.cut_all(End.DRAINED)
        if cut:
            self.exit_code = 1
            log.warning(self.cut_event, reason=reason, connections=cut)
        self._stopped.set()

    def listener_failed(self, listener: Listener, error: OSError) -> None:
        """End the process: a listener that is gone must not go unnoticed."""
        log.error("listener.failed", route=listener.service.name, error=str(error))
        self.failed = True
        self.exit_code = 1
        self._stopped.set()

    def is_own(self, host: str, port: int) -> bool:
        """Tell whether *host* and *port* are a listener of this process, or its admin address."""
        host = unmapped(host)
        host = _UNSPECIFIED.get(host, host)
        if (host, port) in self._own_listens:
            return True
        wide = self._own_wide_ports[":" in host]
        return port in wide and self.local.has(host)

    def dialler(self, peer: tuple[str, int]) -> Connection | None:
        """Return the connection whose dial *peer*, just accepted, may be, brought back by address translation.

        Clients on the loopback interface are not looked at: dials to it are refused beforehand.
        """
        if peer[0] == "::1" or peer[0].startswith("127.") or not self.local.has(peer[0]):
            return None
        # Only a dial that has just begun, or just got through, is accepted now: of thousands a few are to be asked.
        begun = time.monotonic() - self.settings.connect_timeout - _SWEEP_SECONDS
        for connection in itertools.islice(reversed(self.connections.live.values()), _LATEST):
            if connection.started < begun:
                break
            if connection.dials_from(peer):
                return connection
        return None

    def close(self) -> None:
        """Close everything that `bind` and `serve` opened."""
        for listener in self.listeners:
            listener.close()
        self.connections.cut_all(End.DRAINED)  # also those who were accepted just now
        self.poller.shut_down()
        self.pipes.close()

    def _cut_late(self) -> None:
        # Scheduled first: whatever goes wrong in one round, there is a next.
        self.loop.call_later(self.timeouts.pause, self._cut_late)
        self.timeouts.cut_late(self.connections.live.values(), time.monotonic())

    def _sweep(self) -> None:
        self.loop.call_later(_SWEEP_SECONDS, self._sweep)
        self.connections.sweep(time.monotonic())


def _say_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody else has caught, as one event like any other."""
    error = context.get("exception")
    log.error(
        "ambassador.fault", message=context["message"], error=f"{type(error).__name__}: {error}" if error else None
    )
    if error is not None:
        log.debug("ambassador.fault", traceback="".join(traceback.format_exception(error)))


def limits_of(configuration: Configuration) -> Limits:
    """Raise this process's limit of open files, and divide it as the routes of *configuration* need it."""
    return divide(raise_files_limit(), listeners=sum(len(route.listen) for route in configuration.routes))


def tunnel_credentials(settings: Settings) -> Credentials | None:
    """Read the keys or certificates of a tunnel; None where there is none.

    Raises:
        ConfigurationError: the files cannot serve.
    """
    if settings.tunnel == "off":
        return None
    from ambassador.tunnel import Credentials, TunnelFiles

    return Credentials(
        TunnelFiles(
            server_side=settings.tunnel == "source",
            key=settings.tunnel_key_file,
            certificate=settings.tunnel_cert_file,
            private_key=settings.tunnel_private_key_file,
            authority=settings.tunnel_ca_file,
            peers=settings.tunnel_peers,
        )
    )


def bind_all(configuration: Configuration) -> list[list[socket.socket]]:
    """Bind every listening socket of a configuration, or none; return each route's, in the order of the routes.

    Raises:
        StartError: an address is in use, not ours, or not allowed.
    """
    keepalive = configuration.settings.keepalive
    with contextlib.ExitStack() as undo:
        bound = [
            [undo.enter_context(bind(address, keepalive=keepalive, source=route.source)) for address in route.listen]
            for route in configuration.routes
        ]
        undo.pop_all()
    return bound


def log_ready(configuration: Configuration, *, max_connections: int | None) -> None:
    """Log every listener, and that the ambassador is ready."""
    for route in configuration.routes:
        upstream = ",".join(str(endpoint.address) for endpoint in route.endpoints)
        for address in route.listen:
            log.info("route.listening", route=route.name, listen=listen_text(address), upstream=upstream)
    log.info(
        "ambassador.ready",
        version=ambassador.__version__,
        routes=len(configuration.routes),
        max_connections=max_connections,
    )


def listen_text(address: object) -> str:
    """Write a listen address for people: no host means every address."""
    text = str(address)
    return f"*{text}" if text.startswith(":") else text
