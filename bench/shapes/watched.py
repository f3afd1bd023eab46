"""What it costs to be watched: Prometheus scrapes once a second, and somebody has the page open."""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from typing import TYPE_CHECKING

from bench.redis import Work, benchmark, missing, redis
from bench.relays.ambassador import ADMIN, WATCHED
from bench.shapes.messages import METRICS, PER
from bench.shapes.model import Scale, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.relays.model import Relay

CLIENTS = 50
# Ten seconds of a good relay or so: enough scrapes to show.
SHARE = 4
# What the page asks for at each of its looks, and how often it looks, in seconds.
PAGE, PAGE_EVERY = ("/status", "/connections"), 2
SCRAPE_EVERY = 1


def measure(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Run the requests, watched by a scraper and a page if the relay is the one that is."""
    requests = SHARE * scale.requests
    work = Work(CLIENTS)
    with relay.serve(upstream) as subject, watched(subject.admin if relay is WATCHED else ""):
        benchmark(subject.port, work, requests // 10)
        before = subject.cpu()
        row = benchmark(subject.port, work, requests)
        used = subject.cpu() - before
    return {
        "cpu": used * PER / requests,
        "rate": row["rps"],
        "p50": row["p50_latency_ms"],
        "p99": row["p99_latency_ms"],
    }


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


SHAPES = (Shape("watched", "50 clients, unwatched and watched", METRICS, (WATCHED, ADMIN), redis, measure, missing),)
