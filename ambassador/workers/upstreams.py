"""How endpoints fare by the dials of all workers together: the parent keeps it, and it alone tells of it in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.server import report
from ambassador.upstream.health import watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.config.routes import Route
    from ambassador.server.connection import Service
    from ambassador.server.report import EndpointReport, Report, RouteReport
    from ambassador.upstream.health import EndpointHealth

Dials = list[list[float | None]]


class Upstreams:
    """Believe whoever dialled an endpoint last, also when that worker has since hung or died."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [watch(route.name, route.endpoints) for route in routes]

    def heed(self, before: Report | None, counted: Report, dials: Dials) -> None:
        """Learn from a worker's report, from what has changed since that *before*, and from when it dialled last."""
        for number, endpoints in enumerate(self._routes):
            told = counted["routes"][number]["endpoints"]
            was = before["routes"][number]["endpoints"] if before is not None else [None] * len(told)
            for known in zip(endpoints, was, told, dials[number], strict=True):
                _learn(*known)

    def complete(self, merged: Report) -> Report:
        """Return the workers' merged report with what is known of the endpoints, of which workers know only a part."""
        routes: list[RouteReport] = [
            {
                **route,
                "endpoints": [
                    {**report.endpoint(health), "early_resets": told["early_resets"]}
                    for health, told in zip(endpoints, route["endpoints"], strict=True)
                ],
            }
            for endpoints, route in zip(self._routes, merged["routes"], strict=True)
        ]
        return {**merged, "routes": routes}


def last_dials(services: Sequence[Service]) -> Dials:
    """Return when each endpoint was dialled last, on the clock that the processes of a machine share (time(7))."""
    return [[health.dialled for health in service.upstream.health] for service in services]


def _learn(health: EndpointHealth, old: EndpointReport | None, new: EndpointReport, dialled: float | None) -> None:
    if dialled is None:
        return
    counted = 0 if old is None else old["failures"]
    # A worker counts anew when it has reached the endpoint.
    attempts = new["failures"] - (counted if new["failures"] >= counted else 0)
    if health.dialled is not None and dialled <= health.dialled:
        health.failures += 0 if health.up else attempts
        return
    health.resolved(new["resolved"])
    if new["error"] is None:
        health.reached()
    else:
        health.missed(new["error"], attempts=max(1, attempts))
    health.dialled = dialled
