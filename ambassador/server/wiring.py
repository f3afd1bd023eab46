"""From a configuration to live objects: what a process shares among its routes, and what serves each of them."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import structlog

from ambassador.metrics import Turns
from ambassador.net.address import is_ip
from ambassador.net.deadlines import Deadlines
from ambassador.net.limits import divide, raise_files_limit
from ambassador.net.poller import Poller
from ambassador.net.sockets import bind
from ambassador.relay import Pipes, share_of_user
from ambassador.server.admission import Gate
from ambassador.server.connections import Connections
from ambassador.server.pending import MOST_PENDING, Pending
from ambassador.server.places import OwnCap, Places
from ambassador.server.route import ServedRoute
from ambassador.server.self_dials import SelfDials
from ambassador.server.strangers import Strangers
from ambassador.server.timeouts import Timeouts, pause
from ambassador.server.tunnels import Tunnels
from ambassador.upstream.resolve import Resolver
from ambassador.upstream.upstream import DialContext, Upstream

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Route
    from ambassador.net.limits import Limits
    from ambassador.server.places import Cap


class Wiring:
    """Everything that the routes of one process share, made once. Opens an epoll; `close` closes what this opened.

    *share* is how many processes divide among them what the kernel allows a user, such as pages of pipes; *next_id*
    numbers the connections; *cap* makes what counts the clients of the route of a name, for a limit of its own.

    Raises:
        ConfigurationError: the files of the tunnel cannot serve.
    """

    def __init__(
        self, configuration: Configuration, loop: asyncio.AbstractEventLoop, *, share: int = 1,
        next_id: Callable[[], int] | None = None, cap: Callable[[str, int], Cap] | None = None,
    ) -> None:  # fmt: skip
        self.configuration = configuration
        self.settings = settings = configuration.settings
        self.loop = loop
        self.tunnels = Tunnels(settings)
        self.limits = claim_files(configuration)
        self.turns = Turns()
        self.poller = Poller(loop, on_turn=self.turns.begins)
        limit = settings.max_connections.default or self.limits.connections
        self.connections = Connections(min(limit, self.limits.connections), routes=len(configuration.routes))
        self._cap = cap or (lambda _route, limit: OwnCap(limit))
        self.pipes = Pipes(min(self.limits.pipes, share_of_user(share)))
        self.timeouts_pause = pause(
            seconds
            for setting in (settings.idle_timeout, settings.half_close_timeout, settings.max_lifetime)
            for seconds in setting.values()
        )
        self.self_dials = SelfDials(self.connections, reach=max(settings.connect_timeout.values()))
        self.next_id = next_id or itertools.count(1).__next__
        self._deadlines = Deadlines(loop)
        self._resolver = Resolver(loop, alone=share == 1)
        if any(not is_ip(endpoint.address.host) for route in configuration.routes for endpoint in route.endpoints):
            self._resolver.prepare()
        self._dials = DialContext(
            poller=self.poller,
            clock=loop,
            deadlines=self._deadlines,
            resolver=self._resolver,
            own=self.self_dials,
            delay_acknowledgement=share == 1,
        )
        most = max(1, min(MOST_PENDING, (self.connections.limit or MOST_PENDING) // 4))
        self._pending = Pending(most, self.connections)
        # Half of them: who is at work is not to be crowded out by those who come meanwhile.
        self.strangers = Strangers(self.poller, enough=max(1, most // 2))
        # Bound once: a logger that is not would be bound anew for every line.
        self._access_log = structlog.get_logger().bind().info

    def served(self, route: Route) -> ServedRoute:
        """Make what serves a route."""
        settings = self.settings
        upstream = Upstream(
            route,
            self._dials,
            timeout=settings.connect_timeout.of(route),
            eject=settings.eject.of(route),
            credentials=self.tunnels.of(route, "target"),
        )
        return ServedRoute(
            configured=route,
            upstream=upstream,
            poller=self.poller,
            connections=self.connections,
            places=self._places(route),
            pipes=self.pipes,
            gate=self._gate(route),
            proxy_protocol=settings.proxy_protocol.of(route),
            access_log=self._access_log if settings.access_log.of(route) else None,
            keepalive=settings.keepalive,
            timeouts=Timeouts(
                idle=settings.idle_timeout.of(route),
                half_close=settings.half_close_timeout.of(route),
                lifetime=settings.max_lifetime.of(route),
            ),
            debug=settings.log_level == "debug",
        )

    def _places(self, route: Route) -> Places:
        """Make the places of a route: of those of the process, or fewer where an exception says so."""
        item = self.settings.max_connections.item(route)
        limit = None if item is None else item.value
        return Places(self.connections, None if limit is None else self._cap(route.name, limit))

    def _gate(self, route: Route) -> Gate:
        """Make what the clients of a route have to pass; how many may be at it is for all routes together."""
        return Gate(
            allow=self.settings.allow.of(route),
            proxy_from=self.settings.proxy_protocol_from.of(route),
            credentials=self.tunnels.of(route, "source"),
            timeout=self.settings.connect_timeout.of(route),
            clock=self.loop,
            deadlines=self._deadlines,
            pending=self._pending,
            strangers=self.strangers,
        )

    def close(self) -> None:
        """Hand out no more events, close the pipes, end a helper. Sockets are their owners' to close, before this."""
        self.poller.shut_down()
        self.pipes.close()
        self._resolver.close()


def claim_files(configuration: Configuration) -> Limits:
    """Raise this process's limit of open files to what the kernel allows, and divide it up for a configuration."""
    return divide(raise_files_limit(), listeners=sum(len(route.listen) for route in configuration.routes))


def bind_all(configuration: Configuration) -> dict[str, list[socket.socket]]:
    """Bind every listening socket of a configuration, or none; return each route's, by its name.

    Raises:
        StartError: an address is in use, not ours, or not allowed.
    """
    keepalive = configuration.settings.keepalive
    with contextlib.ExitStack() as undo:
        bound = {
            route.name: [
                undo.enter_context(bind(address, keepalive=keepalive, source=route.source)) for address in route.listen
            ]
            for route in configuration.routes
        }
        undo.pop_all()
    return bound
