"""What a process says of itself: plain dictionaries, fit for JSON, so that a parent can ask its workers and add up.

docs/operations.md tells what each field means: `/status` and `/connections` show them as they are here. All durations
are in seconds, and all times are ages: the clocks of two processes need not agree. A report is made in one go, never in
slices: a connection that ended between two of them would be counted twice, or not at all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

import ambassador
from ambassador.net.address import listen_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ambassador.metrics import Histogram, Turns
    from ambassador.relay import Pipes
    from ambassador.server.connection import Connection
    from ambassador.server.connections import Connections
    from ambassador.server.route import ServedRoute
    from ambassador.upstream.health import EndpointHealth

# As many connections are described at a time as take about a millisecond.
SLICE: Final = 200


class HistogramReport(TypedDict):
    """A `Histogram`; one more count than bounds, for what was above the last."""

    bounds: list[float]
    counts: list[int]
    sum: float


# An `EndpointHealth`. Not a class, because a class can have no field named "for".
EndpointReport = TypedDict(
    "EndpointReport",
    {
        "name": str,
        "up": bool | None,
        "for": float,
        "dialled": float | None,
        "error": str | None,
        "failures": int,
        "early_resets": int,
        "resolved": list[str],
    },
)


class RouteReport(TypedDict):
    """A route and its `RouteCounters`, the bytes of live connections included. *ends* has every `End`."""

    name: str
    listen: list[str]
    source: str
    active: int
    ends: dict[str, int]
    bytes_up: int
    bytes_down: int
    accept_paused: int
    connect: HistogramReport
    connection: HistogramReport
    endpoints: list[EndpointReport]


class Report(TypedDict):
    """A process, or several that were added up."""

    version: str
    state: str
    workers: int
    uptime: float
    limit: int | None
    live: int
    dropped_lines: int
    pipes_lent: int
    turns: HistogramReport
    longest_turn: float
    routes: list[RouteReport]


class ConnectionReport(TypedDict):
    """A live connection."""

    id: int
    route: str
    client: str
    upstream: str
    seconds: float
    bytes_up: int
    bytes_down: int
    state: str


class Reported(Protocol):
    """The process of which a report is made."""

    started: float
    connections: Connections
    pipes: Pipes
    turns: Turns

    @property
    def state(self) -> str:
        """What it is doing."""

    @property
    def routing(self) -> Iterable[ServedRoute]:
        """The routes that are served."""

    @property
    def dropped_lines(self) -> int:
        """How many lines of the log standard error did not take."""


def report(process: Reported) -> Report:
    """Describe the process and each of its routes, the bytes of live connections included."""
    process.turns.begins()  # while no socket has an event, answering may be all that is done
    moved = _live_bytes(process.connections.live.values())
    return {
        "version": ambassador.__version__,
        "state": str(process.state),
        "workers": 1,
        "uptime": round(time.monotonic() - process.started, 3),
        "limit": process.connections.limit,
        "live": len(process.connections.live),
        "dropped_lines": process.dropped_lines,
        "pipes_lent": process.pipes.lent,
        "turns": _histogram(process.turns.histogram),
        "longest_turn": round(process.turns.longest(), 6),
        "routes": [_route(route, moved.get(route, (0, 0))) for route in process.routing],
    }


def live(process: Reported, route: str | None = None) -> list[Connection]:
    """Return the connections that live now, oldest first, of one route if it is named."""
    found = process.connections.live.values()
    return list(found) if route is None else [entry for entry in found if entry.route.name == route]


def slices(process: Reported, chosen: Sequence[Connection]) -> Iterator[list[ConnectionReport]]:
    """Describe those of *chosen* that still live, a slice at a time, so that others have their turn in between."""
    for start in range(0, len(chosen), SLICE):
        now, still = time.monotonic(), process.connections.live
        yield [_connection(entry, now) for entry in chosen[start : start + SLICE] if entry.id in still]


def _live_bytes(live: Iterable[Connection]) -> dict[ServedRoute, tuple[int, int]]:
    moved: dict[ServedRoute, tuple[int, int]] = {}
    for connection in live:
        relay = connection.relay
        if relay is not None:
            up, down = moved.get(connection.route, (0, 0))
            moved[connection.route] = up + relay.up.moved, down + relay.down.moved
    return moved


def _route(route: ServedRoute, moved: tuple[int, int]) -> RouteReport:
    counters = route.counters
    return {
        "name": route.name,
        "listen": [listen_text(address) for address in route.configured.listen],
        "source": route.configured.source,
        "active": counters.active,
        "ends": dict(counters.ends.items()),
        "bytes_up": counters.bytes_up + moved[0],
        "bytes_down": counters.bytes_down + moved[1],
        "accept_paused": counters.accept_paused,
        "connect": _histogram(counters.connect),
        "connection": _histogram(counters.connection),
        "endpoints": [endpoint(served.health) for served in route.upstream.endpoints],
    }


def _histogram(histogram: Histogram) -> HistogramReport:
    return {"bounds": list(histogram.bounds), "counts": list(histogram.counts), "sum": histogram.total}


def endpoint(health: EndpointHealth) -> EndpointReport:
    """Describe what is known of an endpoint."""
    now = time.monotonic()
    return {
        "name": health.name,
        "up": health.up,
        "for": round(now - health.since, 3),
        "dialled": None if health.dialled is None else round(now - health.dialled, 3),
        "error": health.error,
        "failures": health.failures,
        "early_resets": health.early_resets,
        "resolved": sorted(health.addresses),
    }


def _connection(connection: Connection, now: float) -> ConnectionReport:
    relay = connection.relay
    up, down = (relay.up.moved, relay.down.moved) if relay is not None else (0, 0)
    return {
        "id": connection.id,
        "route": connection.route.name,
        "client": connection.client_address,
        "upstream": connection.upstream,
        "seconds": round(now - connection.started, 3),
        "bytes_up": up,
        "bytes_down": down,
        "state": connection.state,
    }
