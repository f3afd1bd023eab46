"""Thousands of short connections that end in every way."""

from __future__ import annotations

import random
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.net import free_port, perhaps_reset, read_to_end, reset

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

CONNECTIONS = 5000
THREADS = 8

# At SIGHUP the process tells what it holds.
TELL = """
import asyncio
from ambassador.server import process
from tests.support.prelude import replace
def reload(self):
    upstreams = [route.upstream for route in self.routing]
    process.log.info(
        "test.held", tasks=len(asyncio.all_tasks()), live=len(self.connections.live), lent=self._wiring.pipes.lent,
        active=sum(route.counters.active for route in self.routing),
        dials=sum(len(upstream.queue) for upstream in upstreams),
        under_way=sum(upstream.queue._under_way for upstream in upstreams),
        chosen=sum(endpoint.live for upstream in upstreams for endpoint in upstream.endpoints),
        handlers=len(self.poller._handlers), deadlines=len(upstreams[0].context.deadlines._when),
        ended=sum(sum(route.counters.ends.values()) for route in self.routing),
    )
replace(process.Process, "reload", reload)
"""


def behave(client: socket.socket) -> None:
    """Be an upstream that ends in any way."""
    # What the client sends says how: the first byte is the order.
    order = client.recv(1)
    if order == b"e":
        while data := client.recv(1 << 16):
            client.sendall(data)
    elif order == b"r":
        reset(client)
    elif order == b"b":
        client.sendall(bytes(300_000))


def visit(port: int, seed: int) -> None:
    """Be a client that ends in any way."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    # Whatever the other side did meanwhile is an error of this client's, not of the test's.
    with perhaps_reset(), socket.create_connection(("127.0.0.1", port), 30) as client:
        act = chance.randrange(8)
        if act == 0:
            reset(client)
            return
        if act == 1:
            return
        client.sendall(chance.choice([b"e", b"r", b"b", b""]) + b"x" * chance.choice([0, 1, 1000, 200_000]))
        if act == 2:
            reset(client)
            return
        client.shutdown(socket.SHUT_WR)
        if act == 3:
            client.recv(chance.choice([1, 100_000]))  # and close with the rest unread, if there is any
        else:
            read_to_end(client)


@pytest.mark.slow
def test_5000_connections_leave_nothing_behind(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """After 5,000 connections with random endings descriptors, tasks and gauges are where they were before them."""
    settings = {"CONNECT_TIMEOUT": "200ms"}
    running = ambassador(serve(behave).port, free_port(), prelude=TELL, loop=loop_name, settings=settings)
    running.signal(signal.SIGHUP)
    (base,) = running.wait_for("test.held")
    descriptors = running.descriptors()

    with ThreadPoolExecutor(THREADS) as pool:
        # One in fifty goes to an upstream that refuses.
        list(pool.map(lambda seed: visit(running.ports[seed % 50 == 0], seed), range(CONNECTIONS)))

    lines = running.closed(CONNECTIONS)
    ends = Counter(line["end"] for line in lines)
    assert len({line["id"] for line in lines}) == len(lines) == CONNECTIONS
    assert {"closed", "client_reset", "upstream_reset", "connect_refused"} <= set(ends)
    assert "failed" not in ends

    # Pipes stay in their pool: as many pairs as were ever lent at once.
    eventually(lambda: running.descriptors() <= descriptors + 2 * 2 * THREADS, "the descriptors back")
    running.signal(signal.SIGHUP)
    after = running.wait_for("test.held", 2)[1]
    for name in ("tasks", "live", "lent", "active", "dials", "under_way", "chosen", "handlers", "deadlines"):
        assert after[name] == base[name], name
    assert after["ended"] == CONNECTIONS
    assert running.stop() == 0
