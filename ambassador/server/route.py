"""A route while it is served: what its connections share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ambassador.metrics import RouteCounters

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.routes import Route
    from ambassador.net.poller import Poller
    from ambassador.relay import Pipes
    from ambassador.server.admission import Gate
    from ambassador.server.connections import Connections
    from ambassador.server.listener import Listener
    from ambassador.server.places import Places
    from ambassador.server.timeouts import Timeouts
    from ambassador.upstream.upstream import Upstream


@dataclass(slots=True, kw_only=True, eq=False)
class ServedRoute:
    """One route, known by itself: its upstream may be replaced, and connections outlive their route.

    Attributes:
        configured: what the configuration says of it.
        places: how many clients it may have.
        upstream: what new connections dial; those that are here keep what they dialled.
        listeners: what accepts its clients; closed by `Routing`.
        counters: what happened on it since the start.
        gate: whom it lets in.
        proxy_protocol: the version of the PROXY header that upstreams are sent, or off.
        access_log: writes a connection's line; None for no lines.
        keepalive: idle seconds before the kernel probes a silent upstream; 0 for never.
        timeouts: how long its connections may be idle, half-closed, and there at all.
        debug: whether each step of a connection is logged.
    """

    configured: Route
    upstream: Upstream
    poller: Poller
    connections: Connections
    places: Places
    pipes: Pipes
    gate: Gate
    proxy_protocol: Literal["off", "v1", "v2"]
    access_log: Callable[..., object] | None
    keepalive: float
    timeouts: Timeouts
    debug: bool = False
    counters: RouteCounters = field(default_factory=RouteCounters)
    listeners: list[Listener] = field(default_factory=list)
    name: str = ""

    def __post_init__(self) -> None:
        """Keep the name at hand: every line of the log has it."""
        self.name = self.configured.name
