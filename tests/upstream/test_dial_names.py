"""One dial: names that resolve late, not at all, or to another address."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, cast

import pytest

from ambassador.net.deadlines import TICK
from ambassador.upstream.queue import DialState
from tests.support.deadline import soon
from tests.support.dials import dialling, rests
from tests.support.net import LOCAL, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    from ambassador.upstream.helper import Answer
    from ambassador.upstream.resolve import Resolver
    from tests.conftest import Serve
    from tests.support.clock import FakeClock


class Lookups:
    """A resolver that leaves its answers to the test."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Answer]] = []

    def lookup(self, name: str, answer: Answer) -> None:
        """Keep who asks."""
        self.asked.append((name, answer))

    def answer(self, name: str) -> None:
        """Answer all who have asked for *name*, as the resolver does."""
        for asked, answer in self.asked:
            if asked == name:
                answer((LOCAL,), None)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 64 + ".invalid", "\udcff.invalid", "..", "x" * 300])
async def test_a_name_that_does_not_resolve_is_unresolved(name: str, clock: FakeClock) -> None:
    """A name that cannot be resolved, for whatever reason, ends `connect_unresolved` and is named."""
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream((name, 80), timeout=0.4))
        await rests(caller)
        clock.advance(0.4 + TICK)
        assert await caller.answered() == "connect_unresolved"
        assert caller.error.startswith(f"{name}: ")


async def test_a_name_that_resolves_later_is_reached(
    serve: Serve, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is not there yet is looked up again within the same dial."""
    server, answers = serve(hold), []

    def late(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        answers.append(name)
        if len(answers) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOCAL, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(("late.example", server.port)))
        for _ in range(2):
            await rests(caller)
            clock.advance(1.0)
        assert await caller.answered() == f"{LOCAL}:{server.port}"
        assert len(answers) == 3


async def test_a_name_is_resolved_again_at_each_dial(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a name moves to another address, the next dial goes there."""
    server = serve(hold)
    where = [LOCAL]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where[0], 0))]
    )
    async with dialling() as on:
        upstream = on.upstream(("moves.example", server.port))
        assert await on.call(upstream).answered() == f"{LOCAL}:{server.port}"
        server.stop()
        server.host = where[0] = "127.0.0.2"
        server.start()
        assert await on.call(upstream).answered() == f"127.0.0.2:{server.port}"


async def test_a_hanging_lookup_delays_no_other_endpoint(
    serve: Serve, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that is silent uses up its share of the time only, and no other upstream waits for it."""
    server, hang = serve(hold), threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        hang.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    try:
        async with dialling(clock=clock) as on:
            slow = on.call(on.upstream(("silent.example", 80), server.port, timeout=2.0))
            assert await on.call(on.upstream(server.port)).answered() == f"{LOCAL}:{server.port}"
            assert not slow.answers
            clock.advance(1.0 + TICK)
            assert await slow.answered() == f"{LOCAL}:{server.port}"
            alone = on.call(on.upstream(("silent.example", 80), timeout=0.2))
            clock.advance(0.2 + TICK)
            assert await alone.answered() == "connect_unresolved"
            assert sum(thread.name == "lookup silent.example" for thread in threading.enumerate()) <= 3
    finally:
        hang.set()


async def test_a_hanging_lookup_is_told_from_the_endpoint_before_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time runs out over a silent name server, the reason is that, and not whoever refused before."""
    hang, refusing = threading.Event(), free_port()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hang.wait(60) and [])
    try:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(refusing, ("silent.example", 80), timeout=2.0)
            caller = on.call(upstream)
            await soon(lambda: caller.dial is not None and caller.dial.state is DialState.RESOLVING)
            clock.advance(2.0 + TICK)
            assert await caller.answered() == "connect_unresolved"
            assert caller.error == "silent.example: no answer from the name service in time"
            assert upstream.endpoints[1].health.error == "no answer from the name service in time"
    finally:
        hang.set()


async def test_an_answer_for_an_endpoint_that_was_left_is_of_no_use(serve: Serve, clock: FakeClock) -> None:
    """Addresses of one name that come while another is looked up are not tried for the other."""
    server, lookups = serve(hold), Lookups()
    async with dialling(clock=clock) as on:
        on.resolver = cast("Resolver", lookups)
        caller = on.call(on.upstream(("one.example", free_port()), ("two.example", server.port), timeout=2.0))
        clock.advance(1.0 + TICK)
        lookups.answer("one.example")
        assert caller.dial is not None
        assert caller.dial.state is DialState.RESOLVING
        lookups.answer("two.example")
        assert await caller.answered() == f"{LOCAL}:{server.port}"


async def test_an_answer_to_two_rounds_is_one_attempt(serve: Serve, clock: FakeClock) -> None:
    """A name server that answers only in the second round, and for the first as well, leads to one connection."""
    server, lookups = serve(hold), Lookups()
    async with dialling(clock=clock) as on:
        on.resolver = cast("Resolver", lookups)
        caller = on.call(on.upstream(("db.example", server.port), free_port(), timeout=10.0))
        clock.advance(2.0 + TICK)
        await rests(caller)
        clock.advance(0.1)
        assert len(lookups.asked) == 2
        lookups.answer("db.example")
        assert await caller.answered() == f"{LOCAL}:{server.port}"
        await on.call(on.upstream(server.port)).answered()  # which the server accepts after all others
        await soon(lambda: len(server.accepted) >= 2)
        assert len(server.accepted) == 2
