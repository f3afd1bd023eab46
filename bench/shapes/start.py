"""How long a client waits for its first answer when the relay is started the moment it calls."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from bench.origin import read_exactly
from bench.ports import START_TIMEOUT, connect
from bench.redis import missing, redis
from bench.relays.catalog import MESSAGES
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

PING, PONG = b"PING\r\n", b"+PONG\r\n"
METRICS = (Metric("seconds", "s to the first answer"), Metric("cpu", "CPU s"))


def answers(port: int) -> bool:
    """Ask Redis through *port* once."""
    with contextlib.suppress(OSError), connect(port, timeout=1) as sock:
        sock.sendall(PING)
        return read_exactly(sock, len(PONG)) == PONG
    return False


def measure(relay: Relay, upstream: int, _scale: Scale) -> dict[str, float]:
    """Start the relay and ask until it answers."""
    begun = time.perf_counter()
    with relay.serve(upstream, wait=False) as subject:
        while not answers(subject.port):
            assert time.perf_counter() < begun + START_TIMEOUT, "no answer"
            time.sleep(0.001)  # the cores are needed for the start
        return {"seconds": time.perf_counter() - begun, "cpu": subject.cpu_now()}


SHAPES = (Shape("start", "start to first answer", METRICS, MESSAGES, redis, measure, missing),)
