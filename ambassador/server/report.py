"""What a process says of itself: plain dictionaries, fit for JSON, so that a parent can ask its workers and add up.

All durations are in seconds, and all times are ages: the clocks of two processes need not agree. A report is made in
one go, never in slices: a connection that ended between two of them would be counted twice, or not at all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import ambassador

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Route
    from ambassador.metrics import Histogram
    from ambassador.server.connection import Connection, Service
    from ambassador.server.connections import Connections
    from ambassador.upstream.health import EndpointHealth

Report = dict[str, Any]

# As many connections are described at a time as take about a millisecond.
SLICE: Final = 200
# Of several workers, the one that is furthest from serving speaks for all.
_STATES: Final = ("stopped", "draining", "starting", "serving")


class Reported(Protocol):
    """The process of which a report is made."""

    configuration: Configuration
    started: float
    connections: Connections

    @property
    def state(self) -> str:
        """What it is doing."""

    @property
    def services(self) -> Sequence[Service]:
        """What serves each route, in the order of the configuration."""

    @property
    def dropped_lines(self) -> int:
        """How many lines of the log standard error did not take."""


def report(process: Reported) -> Report:
    """Describe the process and each of its routes, the bytes of live connections included."""
    moved = _live_bytes(process.connections.live.values())
    routes = zip(process.services, process.configuration.routes, strict=True)
    return {
        "version": ambassador.__version__,
        "state": str(process.state),
        "workers": 1,
        "uptime": round(time.monotonic() - process.started, 3),
        "limit": process.connections.limit,
        "live": len(process.connections.live),
        "dropped_lines": process.dropped_lines,
        "routes": [_route(service, route, moved.get(service.name, (0, 0))) for service, route in routes],
    }


def connections(process: Reported) -> list[dict[str, Any]]:
    """Describe every live connection, oldest first. Ten thousand take a while: see `slices`."""
    return [entry for entries in slices(process) for entry in entries]


def slices(process: Reported) -> Iterator[list[dict[str, Any]]]:
    """Describe the connections that are live now, a slice at a time, so that others have their turn in between."""
    live = list(process.connections.live.values())
    for start in range(0, len(live), SLICE):
        now = time.monotonic()
        yield [_connection(entry, now) for entry in live[start : start + SLICE] if entry.id in process.connections.live]


def merge(reports: Sequence[Report]) -> Report:
    """Add up the reports of workers with one configuration, of which there is at least one.

    How endpoints fare is no sum: see `ambassador.workers.upstreams`.
    """
    first = reports[0]
    return {
        "version": first["version"],
        "state": min((entry["state"] for entry in reports), key=_STATES.index),
        "workers": sum(entry["workers"] for entry in reports),
        "uptime": max(entry["uptime"] for entry in reports),
        "limit": None if any(entry["limit"] is None for entry in reports) else _sum(reports, "limit"),
        "live": _sum(reports, "live"),
        "dropped_lines": _sum(reports, "dropped_lines"),
        "routes": [_merge_routes(same) for same in zip(*(entry["routes"] for entry in reports), strict=True)],
    }


def _live_bytes(live: Iterable[Connection]) -> dict[str, tuple[int, int]]:
    moved: dict[str, tuple[int, int]] = {}
    for connection in live:
        relay = connection.relay
        if relay is not None:
            up, down = moved.get(connection.service.name, (0, 0))
            moved[connection.service.name] = up + relay.up.moved, down + relay.down.moved
    return moved


def _route(service: Service, route: Route, moved: tuple[int, int]) -> dict[str, Any]:
    counters = service.counters
    return {
        "name": service.name,
        "listen": [f"*{address}" if not address.host else str(address) for address in route.listen],
        "source": route.source,
        "active": counters.active,
        "ends": dict(counters.ends),
        "bytes_up": counters.bytes_up + moved[0],
        "bytes_down": counters.bytes_down + moved[1],
        "accept_paused": counters.accept_paused,
        "connect": _histogram(counters.connect),
        "connection": _histogram(counters.connection),
        "endpoints": [endpoint(health) for health in service.upstream.health],
    }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {"bounds": list(histogram.bounds), "counts": list(histogram.counts), "sum": histogram.total}


def endpoint(health: EndpointHealth) -> dict[str, Any]:
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


def _connection(connection: Connection, now: float) -> dict[str, Any]:
    relay = connection.relay
    state, up, down = "dialling" if connection.admitted_yet else "admitting", 0, 0
    if relay is not None:
        up, down = relay.up.moved, relay.down.moved
        state = "half-closed" if relay.up.over != relay.down.over else "relaying"
    return {
        "id": connection.id,
        "route": connection.service.name,
        "client": connection.client_address,
        "upstream": connection.upstream,
        "seconds": round(now - connection.started, 3),
        "bytes_up": up,
        "bytes_down": down,
        "state": state,
    }


def _merge_routes(routes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    summed = {name: _sum(routes, name) for name in ("active", "bytes_up", "bytes_down", "accept_paused")}
    return {
        **routes[0],
        **summed,
        "ends": {end: sum(route["ends"][end] for route in routes) for end in routes[0]["ends"]},
        "connect": _merge_histograms([route["connect"] for route in routes]),
        "connection": _merge_histograms([route["connection"] for route in routes]),
        "endpoints": [_merge_endpoints(same) for same in zip(*(route["endpoints"] for route in routes), strict=True)],
    }


def _merge_histograms(histograms: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = zip(*(histogram["counts"] for histogram in histograms), strict=True)
    return {
        "bounds": histograms[0]["bounds"],
        "counts": [sum(same) for same in counts],
        "sum": sum(histogram["sum"] for histogram in histograms),
    }


def _merge_endpoints(endpoints: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**endpoints[0], "early_resets": _sum(endpoints, "early_resets")}


def _sum(entries: Sequence[Mapping[str, Any]], name: str) -> Any:
    return sum(entry[name] for entry in entries)
