"""How many dials an upstream gets at once, and how it is asked again while it is down."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ambassador.upstream import queue as queue_module
from ambassador.upstream.queue import MAX_DIALS
from tests.support.deadline import soon
from tests.support.dials import dialling
from tests.support.net import LOCAL, black_hole, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Serve


async def test_at_most_so_many_dials_are_under_way() -> None:
    """Of 300 clients of a black hole only as many are being connected as a backlog takes; all have their deadline."""
    with black_hole() as port:
        async with dialling() as on:
            upstream = on.upstream(port, timeout=0.5)
            callers = [on.call(upstream) for _ in range(300)]
            assert (
                sum(caller.dial is not None and caller.dial.connecting is not None for caller in callers) == MAX_DIALS
            )
            assert len(upstream.queue) == 300
            for caller in callers:
                assert await caller.answered() == "connect_timeout"
            assert len(upstream.queue) == 0


async def test_the_clients_of_a_dead_upstream_do_not_storm_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 clients that wait for a dead upstream are one attempt now and then, far fewer than the clients."""
    port = free_port()
    async with dialling() as on:
        upstream = on.upstream(port)
        attempts = 0
        missed = upstream.endpoints[0].health.missed

        def count(reason: str) -> None:
            nonlocal attempts
            attempts += 1
            missed(reason)

        monkeypatch.setattr(type(upstream.endpoints[0].health), "missed", lambda _health, reason: count(reason))
        for _ in range(500):
            on.call(upstream)
        await soon(lambda: len(upstream.queue._resting) > 400)
        first, started = attempts, time.monotonic()
        await asyncio.sleep(1.5)
        rests = attempts - first
        # Pauses of at least 25, 50, 100, 200, 400 and then 500 ms.
        assert rests <= 6 + (time.monotonic() - started) / 0.5
        assert first <= 500 + rests


async def test_all_who_wait_get_through_once_the_upstream_is_up(serve: Serve) -> None:
    """When a dead upstream comes up, every one of 300 waiting clients gets its connection."""
    server = serve(hold, listening=False)
    async with dialling() as on:
        upstream = on.upstream(server.port)
        callers = [on.call(upstream) for _ in range(300)]
        await soon(lambda: upstream.endpoints[0].health.failures >= 10)
        server.start()
        for caller in callers:
            assert await caller.answered() == f"{LOCAL}:{server.port}"
        assert len(upstream.queue) == 0


async def test_a_place_that_is_given_up_goes_to_the_next(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that leaves the queue or its place lets the others move up, in their order."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 1)
    with black_hole() as port:
        async with dialling() as on:
            upstream = on.upstream(port)
            first, second, third = (on.call(upstream) for _ in range(3))
            for caller in (first, second, third):
                assert caller.dial is not None
            assert second.dial is not None
            second.dial.cancel()
            assert first.dial is not None
            first.dial.cancel()
            assert third.dial is not None
            assert third.dial.connecting is not None
            assert len(upstream.queue) == 1
            third.dial.cancel()
            assert len(upstream.queue) == 0
            on.callers.clear()


async def test_a_long_queue_that_fails_at_once_does_not_exhaust_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the queue of a black hole moves up and every dial in it fails on the spot, each gets its own answer."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 1)
    with black_hole() as port:
        async with dialling() as on:
            upstream = on.upstream(port)
            blocking = on.call(upstream)
            queued = [on.call(upstream) for _ in range(2000)]
            on.is_own = lambda _host, _port: True
            assert blocking.dial is not None
            blocking.dial.cancel()
            on.callers.remove(blocking)
            for caller in queued:
                assert await caller.answered() == "connect_failed"


async def test_a_dial_that_is_over_leaves_nothing_behind(serve: Serve) -> None:
    """After successes, failures and cancellations no deadline, place or rest is left."""
    server = serve(hold)
    async with dialling() as on:
        good, bad = on.upstream(server.port), on.upstream(free_port(), timeout=0.2)
        callers = [on.call(upstream) for upstream in (good, bad) for _ in range(20)]
        for caller in callers:
            await caller.answered()
        cancelled = on.call(bad)
        assert cancelled.dial is not None
        cancelled.dial.cancel()
        on.callers.remove(cancelled)
        assert (len(good.queue), len(bad.queue)) == (0, 0)
        assert not on.deadlines._when


async def test_dials_that_hang_do_not_keep_others_from_a_live_endpoint(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of clients ten times as large as the dials at once gets past a black hole to the endpoint that lives."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 2)
    monkeypatch.setattr(queue_module, "_HANGS_AFTER", 0.05)
    server = serve(hold)
    with black_hole() as port:
        async with dialling() as on:
            upstream = on.upstream(port, server.port, timeout=2.0)
            callers = [on.call(upstream) for _ in range(20)]
            assert sum(caller.dial is not None and caller.dial.connecting is not None for caller in callers) == 2
            for caller in callers:
                assert await caller.answered() == f"{LOCAL}:{server.port}"
            assert len(upstream.queue) == 0
