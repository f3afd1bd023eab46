"""A ping-pong client beside a bulk stream through the same relay: does the loud one starve the quiet one?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import loads
from bench.loads.held import held
from bench.origin import origin
from bench.relays.catalog import BESIDE
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

GIB = 1 << 30
METRICS = (
    Metric("p99", "p99 ms"),
    Metric("p50", "p50 ms"),
    Metric("p99.9", "p99.9 ms"),
    Metric("rate", "GiB/s beside", "more"),  # low latency is worth little if the stream had to stop for it
)


def measure(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Play ping-pong while a download runs."""
    with relay.serve(upstream) as subject, held("stream", subject.port) as stream:
        times = loads.run("pingpong", subject.port, scale.seconds)
        moved = stream.finish()
    return {**times, "rate": moved["bytes"] / GIB / moved["seconds"]}


SHAPES = (Shape("beside", "ping-pong of 64 bytes beside a bulk download", METRICS, BESIDE, origin, measure),)
