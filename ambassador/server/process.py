"""One serving process: STARTING, SERVING, DRAINING, STOPPED."""

from __future__ import annotations

import asyncio
import time
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

import ambassador
from ambassador.errors import described
from ambassador.metrics import End
from ambassador.net.address import listen_text
from ambassador.server.listener import Listener
from ambassador.server.reload import Reloader
from ambassador.server.routing import Routing
from ambassador.server.timeouts import cut_late

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from ambassador.config.configuration import Configuration
    from ambassador.log import Output
    from ambassador.server.route import ServedRoute
    from ambassador.server.wiring import Wiring

    MakeListener = Callable[["socket.socket", "ServedRoute", "Process"], Listener]

log = structlog.get_logger()

_SWEEP_SECONDS = 1.0


class State(StrEnum):
    """What a process is doing, in this order."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


class LifeEvents(NamedTuple):
    """The names under which a process logs the stations of its life."""

    draining: str
    cut: str
    stopped: str


ALONE = LifeEvents("ambassador.draining", "ambassador.cut", "ambassador.stopped")


class Process:
    """Serve the routes of a configuration on one event loop until told to stop.

    Resource handling: owns the listeners and the live connections, and closes them and the wiring in `close`.

    Attributes:
        configuration: what it was told at the start.
        routing: the routes that are served now.
        state: what it is doing.
        started: the event loop's time of its making, in seconds.
        exit_code: 0; 1 once connections were cut by a drain, or it failed.
        failed: it cannot serve: a listener is gone.
    """

    def __init__(
        self, wiring: Wiring, output: Output, *, events: LifeEvents = ALONE, listener: MakeListener = Listener
    ) -> None:
        self.configuration = wiring.configuration
        self.connections = wiring.connections
        self.pipes = wiring.pipes
        self.poller = wiring.poller
        self.self_dials = wiring.self_dials
        self.strangers = wiring.strangers
        self.turns = wiring.turns
        self.next_id = wiring.next_id
        self.limits = wiring.limits
        self.routing = Routing(wiring.served, lambda sock, route: listener(sock, route, self))
        self.state = State.STARTING
        self.started = wiring.loop.time()
        self.exit_code = 0
        self.failed = False
        self._wiring = wiring
        self._settings = wiring.settings
        self._loop = wiring.loop
        self._output = output
        self._events = events
        self._stopped = asyncio.Event()
        self._reloader = Reloader(wiring.tunnels, wiring.loop)

    @property
    def dropped_lines(self) -> int:
        """How many lines of the log standard error did not take."""
        return self._output.dropped

    def take(self, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
        """Serve every configured route on its sockets, by its name, as `bind_all` made them."""
        for route in self.configuration.routes:
            self.routing.add(route, sockets[route.name])
        own = [address for route in self.configuration.routes for address in route.listen]
        if self._settings.admin is not None:
            own.append(self._settings.admin)  # a client of a route that led there would pass for one of this machine
        self.self_dials.set_listeners(own)

    async def serve(self, ready: Callable[[], None]) -> int:
        """Accept clients until it is told to stop, or fails; return the exit code. Calls *ready* when all can come."""
        self._loop.set_exception_handler(_log_fault)
        for listener in self.routing.listeners():
            listener.start()
        self.state = State.SERVING
        ready()
        self.turns.start()
        self._sweep()
        self._reloader.watch()
        if self._wiring.timeouts_pause:
            self._cut_late()
        await self._stopped.wait()
        self.state = State.STOPPED
        log.info(self._events.stopped, exit_code=self.exit_code, seconds=round(self._loop.time() - self.started, 3))
        return self.exit_code

    def log_ready(self) -> None:
        """Log every listener, and that the process serves."""
        log_ready(self.configuration, max_connections=self.connections.limit)

    def drain(self, reason: str, *, by: str | None = None) -> None:
        """Accept no more clients after the drain's delay, and end when those that are here have ended, or are late.

        *by* is the address of whoever asked for it over the network.
        """
        if self.state in {State.DRAINING, State.STOPPED}:
            return
        self.state = State.DRAINING
        asked = {} if by is None else {"by": by}
        log.info(self._events.draining, reason=reason, live=len(self.connections.live), **asked)
        if self._settings.drain_delay:
            self._loop.call_later(self._settings.drain_delay, self._close_listeners)
        else:
            self._close_listeners()

    def cut(self, reason: str) -> None:
        """End the drain: reset whoever is left."""
        if self._stopped.is_set():
            return
        self.routing.close()
        cut = self.connections.cut_all(End.DRAINED)
        if cut:
            self.exit_code = 1
            log.warning(self._events.cut, reason=reason, connections=cut)
        self._stopped.set()

    def reload(self) -> None:
        """Read keys and certificates again."""
        self._reloader.reload()

    def not_ready(self) -> str | None:
        """Say why this process should not be sent traffic; None when it should."""
        return None if self.state is State.SERVING else self.state.value

    def listener_failed(self, listener: Listener, error: OSError) -> None:
        """End the process: a listener that is gone must not go unnoticed."""
        log.error("listener.failed", route=listener.route.name, error=str(error))
        self.failed = True
        self.exit_code = 1
        self._stopped.set()

    def close(self) -> None:
        """Close everything that it holds: listeners, connections, and the wiring."""
        self.routing.close()
        self.connections.cut_all(End.DRAINED)  # also those who were accepted just now
        self._reloader.close()
        self._wiring.close()

    def _close_listeners(self) -> None:
        """Accept no more clients, and give those that are here the drain's time."""
        if self._stopped.is_set():
            return
        self.routing.close()
        if not self.connections.live:
            self._stopped.set()
            return
        self.connections.on_empty = self._stopped.set
        if self._settings.drain_timeout:
            self._loop.call_later(self._settings.drain_timeout, self.cut, "drain timeout")
        else:
            self.cut("drain timeout")

    def _cut_late(self) -> None:
        # Scheduled first: whatever goes wrong in one round, there is a next.
        self._loop.call_later(self._wiring.timeouts_pause, self._cut_late)
        cut_late(self.connections.live.values(), time.monotonic())

    def _sweep(self) -> None:
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        self.pipes.sweep()
        self.connections.sweep(time.monotonic())
        self.turns.second_passes()


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody else has caught, as one event like any other."""
    error = context.get("exception")
    log.error("ambassador.fault", message=context["message"], error=described(error) if error else None)
    if error is not None:
        log.debug("ambassador.fault", traceback="".join(traceback.format_exception(error)))


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
