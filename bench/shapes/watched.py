"""What it costs to be watched: Prometheus scrapes once a second, and somebody has the page open."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

from bench.loads.held import held
from bench.redis import Work, benchmark, missing, redis
from bench.relays.ambassador import ADMIN, WATCHED
from bench.shapes.messages import METRICS, PER
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Subject
    from bench.relays.model import Relay

CLIENTS = 50
# Ten seconds of a good relay or so: enough scrapes to show.
SHARE = 4
# What the page asks for at each of its looks, and how often it looks, in seconds.
PAGE, PAGE_EVERY = ("/status", "/connections"), 2
SCRAPE_EVERY = 1
# Throughput is too unsteady for a difference of a hundredth; what the requests of those who watch cost is not.
WATCHED_METRICS = (*METRICS, Metric("rest", "CPU ms a second at rest"))


def measure(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Run the requests, watched by a scraper and a page if the relay is the one that is."""
    requests = SHARE * scale.requests
    work = Work(CLIENTS)
    with relay.serve(upstream) as subject, watched(subject.admin if relay is WATCHED else ""):
        benchmark(subject.port, work, requests // 10)
        before = subject.cpu()
        row = benchmark(subject.port, work, requests)
        used = subject.cpu() - before
        at_rest = rest(subject, scale.seconds)
    return {
        "cpu": used * PER / requests,
        "rest": at_rest,
        "rate": row["rps"],
        "p50": row["p50_latency_ms"],
        "p99": row["p99_latency_ms"],
    }


def rest(subject: Subject, seconds: float) -> float:
    """Measure the CPU, in milliseconds a second, of a relay whose connections say nothing: what watching costs."""
    with held("idle", subject.port, CLIENTS):
        before = subject.cpu_now()
        time.sleep(seconds)
        return 1000 * (subject.cpu_now() - before) / seconds


@contextlib.contextmanager
def watched(admin: str) -> Iterator[None]:
    """Ask an admin address, if there is one, as a scraper and an open page do, until the block ends."""
    over = threading.Event()
    eyes = [
        threading.Thread(target=look, args=(admin, ("/metrics",), SCRAPE_EVERY, over)),
        threading.Thread(target=look, args=(admin, PAGE, PAGE_EVERY, over)),
    ]
    for eye in eyes if admin else ():
        eye.start()
    try:
        yield
    finally:
        over.set()
        for eye in eyes if admin else ():
            eye.join()


def look(admin: str, paths: tuple[str, ...], every: float, over: threading.Event) -> None:
    """Get *paths* every so many seconds."""
    while not over.wait(every):
        for path in paths:
            with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as answer:
                answer.read()


SHAPES = (
    Shape("watched", "50 clients, unwatched and watched", WATCHED_METRICS, (WATCHED, ADMIN), redis, measure, missing),
)
