"""The reports of several workers, added up, and what remains of the report of one that is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ambassador.metrics import End
from ambassador.server.process import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ambassador.server.report import EndpointReport, HistogramReport, Report, RouteReport

_Named = TypeVar("_Named", "RouteReport", "EndpointReport")
# Of several workers, the one that is furthest from serving speaks for all.
_STATES: Final = (State.STOPPED, State.DRAINING, State.STARTING, State.SERVING)


def merge(reports: Sequence[Report]) -> Report:
    """Add up the reports of workers with one configuration, of which there is at least one.

    How endpoints fare is no sum: see `ambassador.workers.upstreams`.
    """
    limits = [report["limit"] for report in reports if report["limit"] is not None]
    return {
        "version": reports[0]["version"],
        "state": min((report["state"] for report in reports), key=_STATES.index),
        "workers": sum(report["workers"] for report in reports),
        "uptime": max(report["uptime"] for report in reports),
        "limit": sum(limits) if len(limits) == len(reports) else None,
        "live": sum(report["live"] for report in reports),
        "dropped_lines": sum(report["dropped_lines"] for report in reports),
        "pipes_lent": sum(report["pipes_lent"] for report in reports),
        "turns": _histograms([report["turns"] for report in reports]),
        "longest_turn": max(report["longest_turn"] for report in reports),
        "routes": [_routes(same) for same in _by_name(route for report in reports for route in report["routes"])],
    }


def retired(report: Report) -> Report:
    """Return what remains of a report when its worker is dead: what was counted, and whoever lived has failed."""
    return {
        **report, "workers": 0, "limit": 0, "live": 0, "pipes_lent": 0, "longest_turn": 0.0,
        "routes": [_retired(route) for route in report["routes"]],
    }  # fmt: skip


def _by_name(entries: Iterable[_Named]) -> Iterable[list[_Named]]:
    """Bring together what has the same name, in the order in which the names come first."""
    found: dict[str, list[_Named]] = {}
    for entry in entries:
        found.setdefault(entry["name"], []).append(entry)
    return found.values()


def _routes(routes: Sequence[RouteReport]) -> RouteReport:
    return {
        **routes[0],
        "active": sum(route["active"] for route in routes),
        "ends": {end: sum(route["ends"][end] for route in routes) for end in routes[0]["ends"]},
        "bytes_up": sum(route["bytes_up"] for route in routes),
        "bytes_down": sum(route["bytes_down"] for route in routes),
        "accept_paused": sum(route["accept_paused"] for route in routes),
        "connect": _histograms([route["connect"] for route in routes]),
        "connection": _histograms([route["connection"] for route in routes]),
        "endpoints": [_endpoints(same) for same in _by_name(entry for route in routes for entry in route["endpoints"])],
    }


def _histograms(histograms: Sequence[HistogramReport]) -> HistogramReport:
    counts = zip(*(histogram["counts"] for histogram in histograms), strict=True)
    return {
        "bounds": histograms[0]["bounds"],
        "counts": [sum(same) for same in counts],
        "sum": sum(histogram["sum"] for histogram in histograms),
    }


def _endpoints(endpoints: Sequence[EndpointReport]) -> EndpointReport:
    return {**endpoints[0], "early_resets": sum(endpoint["early_resets"] for endpoint in endpoints)}


def _retired(route: RouteReport) -> RouteReport:
    ends = {**route["ends"], End.FAILED: route["ends"][End.FAILED] + route["active"]}
    return {**route, "active": 0, "ends": ends}
