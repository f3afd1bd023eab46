"""Thousands of connections that asked once and fell silent: what each holds, and what they cost one active client."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

from bench.loads.held import held
from bench.redis import Work, benchmark, missing, redis
from bench.relays.catalog import IDLE, RESIDENT
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

KIB, MB = 1024, 1_000_000
ACTIVE_SHARE = 10  # of the scale's requests, for one client
METRICS = (
    Metric("memory", "KiB user memory each"),
    Metric("cpu", "CPU s per 100k requests beside"),
    Metric("slower", "CPU, times that without"),
    Metric("p99", "p99 ms beside"),
)
RESIDENT_METRICS = (Metric("resident", "MB resident"), Metric("empty", "MB before"))


def active(port: int, requests: int) -> dict[str, float]:
    """Run the one active client."""
    return benchmark(port, Work(1), requests)


def measure(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Run the active client alone, then beside the idle ones."""
    requests = scale.requests // ACTIVE_SHARE
    with relay.serve(upstream) as subject:
        active(subject.port, requests // 10)
        begun = subject.cpu()
        active(subject.port, requests)
        alone = subject.cpu() - begun
        empty = subject.private_memory()
        with held("idle", subject.port, scale.idle):
            begun = subject.cpu()
            memory = (subject.private_memory() - empty) / scale.idle
            row = active(subject.port, requests)
            beside = subject.cpu() - begun
    return {
        "memory": memory / KIB,
        "cpu": beside * 100_000 / requests,
        "slower": beside / alone if alone else 1.0,
        "p99": row["p99_latency_ms"],
    }


def resident(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Measure the whole relay with idle connections, after its metrics, where it has them, were asked for."""
    with relay.serve(upstream) as subject:
        empty = subject.resident_memory()
        with held("idle", subject.port, scale.resident):
            if subject.admin:
                with urllib.request.urlopen(f"http://{subject.admin}/metrics") as answer:
                    answer.read()
            subject.cpu()
            full = subject.resident_memory()
    return {"resident": full / MB, "empty": empty / MB}


SHAPES = (
    Shape("idle", "one client beside {idle:,} idle connections", METRICS, IDLE, redis, measure, missing),
    Shape("resident", "{resident:,} idle connections", RESIDENT_METRICS, RESIDENT, redis, resident, missing),
)
