"""How many dials an upstream gets at once, and how it is asked again while it is down."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ambassador.net.deadlines import TICK, Deadlines
from ambassador.upstream import queue as queue_module
from ambassador.upstream.queue import MAX_DIALS, DialQueue
from tests.support.clock import FakeClock
from tests.support.deadline import soon
from tests.support.dials import dialling
from tests.support.net import LOCAL, black_hole, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Serve


class Patient:
    """A dial that finds nobody in any round, or hangs in its first."""

    over = False
    holds_slot = client_ended = client_silent = False

    def __init__(self, queue: DialQueue, rounds: list[Patient], *, deadline: float, hangs: bool = False) -> None:
        self.queue = queue
        self.rounds = rounds
        self.deadline = deadline
        self.hangs = hangs
        self.last_act: Callable[[], None] | None = None

    def start_round(self) -> None:
        """Note it; go to rest at once unless it hangs, or be over, with what comes of that."""
        self.rounds.append(self)
        if self.last_act is not None:
            self.end()
            self.last_act()
        elif not self.hangs:
            self.queue.back_off(self)

    def end(self) -> None:
        """Be over."""
        self.over = True
        self.queue.leave(self)

    def expire(self) -> None:
        """Be late, which no test here gets to."""
        raise AssertionError("a dial that was to wait longer")


async def test_at_most_so_many_dials_are_under_way() -> None:
    """Of 300 clients of a black hole only as many are being connected as a backlog takes; all have their deadline."""
    clock = FakeClock()
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, timeout=0.5)
            callers = [on.call(upstream) for _ in range(300)]
            assert (
                sum(caller.dial is not None and caller.dial.connecting is not None for caller in callers) == MAX_DIALS
            )
            assert len(upstream.queue) == 300
            clock.advance(0.5 + TICK)
            for caller in callers:
                assert await caller.answered() == "connect_timeout"
            assert len(upstream.queue) == 0


@pytest.mark.parametrize("jitter", [0.5, 1.0])
def test_the_clients_of_a_dead_upstream_do_not_storm_it(monkeypatch: pytest.MonkeyPatch, jitter: float) -> None:
    """500 clients of a dead upstream dial it one at a time, after 50 ms, then twice that and so on up to a second."""
    monkeypatch.setattr(random, "uniform", {0.5: min, 1.0: max}[jitter])
    clock = FakeClock()
    queue = DialQueue(clock, Deadlines(clock))
    rounds: list[Patient] = []
    dials = [Patient(queue, rounds, deadline=clock.time() + 30) for _ in range(500)]
    for dial in dials:
        queue.enter(dial)
    assert rounds == dials
    rounds.clear()
    for number, pause in enumerate([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]):
        clock.advance(pause * jitter - 0.001)
        assert rounds == dials[:number]
        clock.advance(0.001 + 1e-9)
        assert rounds == dials[: number + 1]


def test_who_rests_is_woken_by_an_answer() -> None:
    """One dial that gets through wakes 16 of those that rest; if they find nobody, the pauses begin anew."""
    clock = FakeClock()
    queue = DialQueue(clock, Deadlines(clock))
    rounds: list[Patient] = []
    dials = [Patient(queue, rounds, deadline=clock.time() + 30) for _ in range(40)]
    for dial in dials:
        queue.enter(dial)
    clock.advance(10)  # the pauses are long by now
    rounds.clear()
    queue.answered()
    clock.advance(0.01 + 1e-9)
    assert len(set(rounds)) == 16
    clock.advance(0.02)
    assert len(rounds) == 16
    clock.advance(0.03)
    assert len(rounds) == 17


def test_dials_that_hang_give_way_to_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dial that waits is let in when the one before it has met silence for half a second, and little later."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 1)
    clock = FakeClock()
    queue = DialQueue(clock, Deadlines(clock))
    rounds: list[Patient] = []
    dials = [Patient(queue, rounds, deadline=clock.time() + 30, hangs=True) for _ in range(3)]
    for number, dial in enumerate(dials):
        queue.enter(dial)
        assert rounds == dials[:1], number
    clock.advance(0.499)
    assert rounds == dials[:1]
    clock.advance(0.126)
    assert rounds == dials[:2]
    clock.advance(0.625)
    assert rounds == dials


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


def test_who_has_waited_longest_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client who comes at the very end of another's dial is let in after those that wait already."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 1)
    clock = FakeClock()
    queue = DialQueue(clock, Deadlines(clock))
    rounds: list[Patient] = []
    first, brief, waiting, newcomer = (
        Patient(queue, rounds, deadline=clock.time() + 30, hangs=hangs) for hangs in (True, False, True, True)
    )
    brief.last_act = lambda: queue.enter(newcomer)
    for dial in (first, brief, waiting):
        queue.enter(dial)
    first.end()
    assert rounds == [first, brief, waiting]
    waiting.end()
    assert rounds == [first, brief, waiting, newcomer]


def test_the_end_of_one_dial_may_be_that_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dial that is ended while it goes to rest, or right before it would be let in again, leaves nothing behind."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 1)
    clock = FakeClock()
    deadlines = Deadlines(clock)
    queue = DialQueue(clock, deadlines)
    rounds: list[Patient] = []
    one, other = (Patient(queue, rounds, deadline=clock.time() + 30, hangs=hangs) for hangs in (True, False))
    other.last_act = one.end
    queue.enter(one)
    queue.enter(other)
    queue.back_off(one)  # which lets the other in
    assert (len(queue), deadlines._when) == (0, {})

    one, other = (Patient(queue, rounds, deadline=clock.time() + 30) for _ in range(2))
    queue.enter(one)
    queue.enter(other)
    one.last_act = other.end
    queue.answered()
    clock.advance(1.0)  # they are woken together
    assert rounds[-3:] == [one, other, one]
    assert (len(queue), deadlines._when, clock.timers) == (0, {}, [])


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
    server, clock = serve(hold), FakeClock()
    async with dialling(clock=clock) as on:
        good, bad = on.upstream(server.port), on.upstream(free_port(), timeout=0.2)
        callers = [on.call(upstream) for upstream in (good, bad) for _ in range(20)]
        for caller in callers[:20]:
            await caller.answered()
        await soon(lambda: bad.endpoints[0].health.failures >= 20)
        clock.advance(0.2 + TICK)
        for caller in callers[20:]:
            await caller.answered()
        cancelled = on.call(bad)
        assert cancelled.dial is not None
        cancelled.dial.cancel()
        on.callers.remove(cancelled)
        assert (len(good.queue), len(bad.queue)) == (0, 0)
        assert not on.deadlines._when
        clock.advance(1.0)
        assert clock.timers == []


async def test_dials_that_hang_do_not_keep_others_from_a_live_endpoint(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of clients ten times as large as the dials at once gets past a black hole to the endpoint that lives."""
    monkeypatch.setattr(queue_module, "MAX_DIALS", 2)
    monkeypatch.setattr(queue_module, "HANGS_AFTER", 0.05)
    server, clock = serve(hold), FakeClock()
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, server.port, timeout=2.0)
            callers = [on.call(upstream) for _ in range(20)]
            assert sum(caller.dial is not None and caller.dial.connecting is not None for caller in callers) == 2
            clock.advance(0.9)
            assert all(caller.dial is not None and caller.dial.connecting is not None for caller in callers)
            clock.advance(0.9)
            for caller in callers:
                assert await caller.answered() == f"{LOCAL}:{server.port}"
            assert len(upstream.queue) == 0
