"""What is counted. Plain numbers that the hot path adds to; whoever wants to know reads them."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

ENDS: Final = (
    "closed", "client_reset", "upstream_reset", "client_gone", "connect_refused", "connect_timeout",
    "connect_unresolved", "connect_unreachable", "connect_failed", "handshake_failed", "not_allowed",
    "bad_proxy_header", "idle_timeout", "half_close_timeout", "max_lifetime", "peer_dead", "drained", "killed",
    "failed",
)  # fmt: skip

# Seconds. A dial within a data centre takes half a millisecond, a lost SYN one second, then three.
CONNECT_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Seconds. From one request to a pool's connection that lives for days.
CONNECTION_BOUNDS: Final = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


class Histogram:
    """Count observations below each of *bounds*, and above the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class RouteCounters:
    """What happened on one route since the start; bytes are of ended connections, the live ones count their own."""

    __slots__ = ("accept_paused", "active", "bytes_down", "bytes_up", "connect", "connection", "ends")

    def __init__(self) -> None:
        self.active = 0
        self.ends = dict.fromkeys(ENDS, 0)
        self.bytes_up = 0
        self.bytes_down = 0
        self.accept_paused = 0
        self.connect = Histogram(CONNECT_BOUNDS)
        self.connection = Histogram(CONNECTION_BOUNDS)
