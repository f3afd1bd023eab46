"""Redis behind the relay, redis-benchmark before it: round trips, pipelines, reconnects, large values, a fixed rate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench import loads
from bench.redis import Work, benchmark, missing, redis
from bench.relays.catalog import MESSAGES, RECONNECT, WORKERS
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

LARGE = 65_536
PACED_CLIENTS = 50
PER = 100_000  # requests that a figure of CPU stands for
METRICS = (
    Metric("cpu", "CPU s per 100k requests"),
    Metric("rate", "requests/s", "more"),
    Metric("p50", "p50 ms"),
    Metric("p99", "p99 ms"),
)
PACED_METRICS = (Metric("p99", "p99 ms"), Metric("p50", "p50 ms"), Metric("p99.9", "p99.9 ms"), METRICS[0])


def measure(work: Work, share: float, relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Warm up with a tenth of the requests, then run them all.

    *share* of the scale's requests are sent, so that every shape lasts about as long.
    """
    requests = int(share * (scale.reconnects if work.reconnect else scale.requests))
    with relay.serve(upstream) as subject:
        benchmark(subject.port, work, max(work.clients, requests // 10))
        before = subject.cpu()
        row = benchmark(subject.port, work, requests)
        used = subject.cpu() - before
    return {
        "cpu": used * PER / requests,
        "rate": row["rps"],
        "p50": row["p50_latency_ms"],
        "p99": row["p99_latency_ms"],
    }


def paced(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Offer the same rate to each relay and time the answers."""
    with relay.serve(upstream) as subject:
        loads.run("paced", subject.port, PACED_CLIENTS, scale.rate, 0.5)
        before = subject.cpu()
        times = loads.run("paced", subject.port, PACED_CLIENTS, scale.rate, scale.seconds)
        used = subject.cpu() - before
    return {**times, "cpu": used * PER / (scale.rate * scale.seconds)}


def shape(name: str, title: str, work: Work, share: float = 1.0) -> Shape:
    """Make a shape of *work*."""
    return Shape(name, title, METRICS, MESSAGES, redis, partial(measure, work, share), missing)


SHAPES = (
    shape("clients-1", "round trips of 1 client", Work(1), 0.2),
    shape("clients-50", "round trips of 50 clients", Work(50)),
    shape("clients-500", "round trips of 500 clients", Work(500)),
    shape("pipelined", "50 clients, pipelined 16 deep", Work(50, pipeline=16), 5),
    replace(shape("reconnect", "connect, one request, close", Work(50, reconnect=True)), relays=RECONNECT),
    shape("values", "20 clients set values of 64 KiB", Work(20, test="set", size=LARGE), 0.1),
    Shape("paced", "50 clients, {rate:,} requests a second in all", PACED_METRICS, MESSAGES, redis, paced, missing),
    replace(shape("workers", "500 clients, one process or two", Work(500)), relays=WORKERS),
)
