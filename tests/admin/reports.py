"""Reports as workers make them."""

from __future__ import annotations

from typing import Any

from ambassador.metrics import CONNECT_BOUNDS, CONNECTION_BOUNDS, End, Histogram


def endpoint(**changes: Any) -> dict[str, Any]:
    """Return what a worker says of an endpoint that it has not dialled."""
    return {
        "name": "10.0.0.7:1", "up": None, "for": 1.0, "dialled": None, "error": None, "failures": 0, "early_resets": 0,
        "resolved": [], **changes,
    }  # fmt: skip


def report(*, state: str = "serving", limit: int | None = 10, up: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a worker's report of one route."""
    connect, connection = Histogram(CONNECT_BOUNDS), Histogram(CONNECTION_BOUNDS)
    connect.observe(0.002)
    connection.observe(90.0)
    histograms = {
        name: {"bounds": list(one.bounds), "counts": one.counts, "sum": one.total}
        for name, one in (("connect", connect), ("connection", connection))
    }
    route = {
        "name": "r:1", "listen": ["*:1"], "source": "R_PORT_1_TCP", "active": 2,
        "ends": {**dict.fromkeys(End, 0), "closed": 3}, "bytes_up": up, "bytes_down": 5,
        "accept_paused": 1, "endpoints": [endpoint()], **histograms, **changes,
    }  # fmt: skip
    return {
        "version": "1", "state": state, "workers": 1, "uptime": 4.0, "limit": limit, "live": 2, "dropped_lines": 1,
        "routes": [route],
    }  # fmt: skip
