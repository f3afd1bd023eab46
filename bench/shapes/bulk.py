"""One connection that moves bytes as fast as it can: up, down, and both ways at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench import loads
from bench.origin import origin
from bench.relays.catalog import BULK
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

GIB = 1 << 30
WARM_UP = 64 << 20  # enough for windows to open and for a relay to choose its path
METRICS = (Metric("cpu", "CPU s per GiB"), Metric("rate", "GiB/s", "more"))


def measure(way: str, relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Transfer once each way that *way* names, and divide by all bytes that crossed the relay."""
    with relay.serve(upstream) as subject:
        loads.run("bulk", subject.port, way, WARM_UP)
        before = subject.cpu()
        seconds = loads.run("bulk", subject.port, way, scale.bulk_bytes)["seconds"]
        used = subject.cpu() - before
    moved = scale.bulk_bytes * (2 if way == "both" else 1) / GIB
    return {"cpu": used / moved, "rate": moved / seconds, "seconds": seconds / moved}


def shape(way: str, title: str) -> Shape:
    """Make the shape for *way*."""
    return Shape(f"bulk-{way}", title, METRICS, BULK, origin, partial(measure, way))


SHAPES = (
    shape("up", "bulk up: one client sends"),
    shape("down", "bulk down: one client receives"),
    shape("both", "bulk both ways on one connection"),
)
