"""Reports as workers make them, and what `/status` makes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ambassador.admin import answers
from ambassador.admin.history import History
from ambassador.metrics import CONNECT_BOUNDS, CONNECTION_BOUNDS, End, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.admin.answers import Rates, StatusReport
    from ambassador.server.report import EndpointReport, HistogramReport, Report, RouteReport


def endpoint(**changes: Any) -> EndpointReport:
    """Return what a worker says of an endpoint that it has not dialled, but for *changes*."""
    unknown: EndpointReport = {
        "name": "10.0.0.7:1", "up": None, "for": 1.0, "dialled": None, "error": None, "failures": 0, "early_resets": 0,
        "resolved": [],
    }  # fmt: skip
    return cast("EndpointReport", {**unknown, **changes})


def route(*, up: int = 1, **changes: Any) -> RouteReport:
    """Return what a worker says of a route that has relayed *up* bytes, but for *changes*."""
    usual: RouteReport = {
        "name": "r:1", "listen": ["*:1"], "source": "R_PORT_1_TCP", "active": 2,
        "ends": {**dict.fromkeys(map(str, End), 0), "closed": 3}, "bytes_up": up, "bytes_down": 5, "accept_paused": 1,
        "connect": _histogram(CONNECT_BOUNDS, 0.002), "connection": _histogram(CONNECTION_BOUNDS, 90.0),
        "endpoints": [endpoint()],
    }  # fmt: skip
    return cast("RouteReport", {**usual, **changes})


def report(*, state: str = "serving", limit: int | None = 10, up: int = 1, **changes: Any) -> Report:
    """Return a worker's report of one route, which has *changes*."""
    return {
        "version": "1", "state": state, "workers": 1, "uptime": 4.0, "limit": limit, "live": 2, "dropped_lines": 1,
        "pipes_lent": 3,
        "turns": {"bounds": [0.001], "counts": [7, 1], "sum": 0.5}, "longest_turn": 0.25,
        "routes": [route(up=up, **changes)],
    }  # fmt: skip


def status(*routes: RouteReport, up: Sequence[float] = (), down: Sequence[float] = (), **changes: Any) -> StatusReport:
    """Return what `/status` answers of these routes, with these rates of bytes a second, but for *changes*."""
    whole: Report = {**report(), "routes": [*routes]}
    rates: Rates = {**History().rates(whole), "bytes_up": [*up], "bytes_down": [*down]}
    return cast("StatusReport", {**answers.status(whole, not_ready=None, landlock=None, rates=rates), **changes})


def _histogram(bounds: tuple[float, ...], observed: float) -> HistogramReport:
    histogram = Histogram(bounds)
    histogram.observe(observed)
    return {"bounds": list(bounds), "counts": histogram.counts, "sum": histogram.total}
