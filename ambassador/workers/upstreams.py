"""How endpoints fare by the dials of all workers together: the parent keeps it, and it alone tells of it in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.server import report
from ambassador.upstream.health import EndpointHealth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ambassador.config.routes import Route
    from ambassador.server.report import EndpointReport, Report, RouteReport
    from ambassador.server.route import ServedRoute

# When each endpoint of each route was dialled last, by their names.
Dials = dict[str, dict[str, float | None]]


class Upstreams:
    """Believe whoever dialled an endpoint last, also when that worker has since hung or died."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._known = {
            route.name: {
                name: EndpointHealth(route.name, name) for name in (str(entry.address) for entry in route.endpoints)
            }
            for route in routes
        }

    def learn(self, before: Report | None, counted: Report, dials: Dials) -> None:
        """Learn from a worker's report, from what has changed since that *before*, and from when it dialled last."""
        was = _endpoints(before)
        for (route, endpoint), now in _endpoints(counted).items():
            _learn(self._known[route][endpoint], was.get((route, endpoint)), now, dials[route][endpoint])

    def complete(self, merged: Report) -> Report:
        """Return the workers' merged report with what is known of the endpoints, of which workers know only a part."""
        routes: list[RouteReport] = [
            {**route, "endpoints": [self._complete(route["name"], entry) for entry in route["endpoints"]]}
            for route in merged["routes"]
        ]
        return {**merged, "routes": routes}

    def _complete(self, route: str, endpoint: EndpointReport) -> EndpointReport:
        known = report.endpoint(self._known[route][endpoint["name"]])
        return {**known, "early_resets": endpoint["early_resets"]}


def last_dials(routes: Iterable[ServedRoute]) -> Dials:
    """Return when each endpoint was dialled last, on the clock that the processes of a machine share (time(7))."""
    return {
        route.name: {endpoint.name: endpoint.health.dialled for endpoint in route.upstream.endpoints}
        for route in routes
    }


def _endpoints(counted: Report | None) -> dict[tuple[str, str], EndpointReport]:
    routes = counted["routes"] if counted is not None else []
    return {(route["name"], endpoint["name"]): endpoint for route in routes for endpoint in route["endpoints"]}


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
