"""One dial: the order of endpoints, deadlines, retries, and what it says when there is nobody."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.net.deadlines import TICK
from ambassador.upstream import attempt as attempt_module
from tests.support.dials import dialling, keeps_resting, rests
from tests.support.net import LOCAL, black_hole, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.clock import FakeClock


async def test_the_first_endpoint_that_accepts_is_taken(serve: Serve) -> None:
    """Endpoints are tried in their order, and the first one that accepts is the one."""
    first, second = serve(hold), serve(hold)
    async with dialling() as on:
        caller = on.call(on.upstream(first.port, second.port))
        assert await caller.answered() == f"{LOCAL}:{first.port}"
        assert caller.endpoint is not None
        assert caller.endpoint.port == first.port
        assert caller.leg is not None
        assert caller.leg.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert caller.leg.socket.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
        assert not second.accepted


async def test_an_endpoint_that_refuses_is_passed_over(serve: Serve) -> None:
    """A first endpoint that refuses costs no waiting: the second is tried at once."""
    server = serve(hold)
    async with dialling() as on:
        caller = on.call(on.upstream(free_port(), server.port))
        assert await caller.answered() == f"{LOCAL}:{server.port}"
        assert caller.endpoint is not None
        assert caller.endpoint.port == server.port


async def test_a_black_hole_does_not_hide_a_live_second_endpoint(serve: Serve, clock: FakeClock) -> None:
    """A first endpoint that never answers has half of the time, and the second the other half."""
    server = serve(hold)
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            caller = on.call(on.upstream(port, server.port, timeout=2.0))
            assert caller.dial is not None
            first = caller.dial.connecting
            clock.advance(1.0 - TICK)
            assert caller.dial.connecting is first
            clock.advance(2 * TICK)
            assert await caller.answered() == f"{LOCAL}:{server.port}"


async def test_black_holes_before_a_live_endpoint_share_the_time(serve: Serve, clock: FakeClock) -> None:
    """Three black holes before a live endpoint use up three quarters of the time, and not all of it."""
    server = serve(hold)
    with black_hole() as one, black_hole() as two, black_hole() as three:
        async with dialling(clock=clock) as on:
            caller = on.call(on.upstream(one, two, three, server.port, timeout=2.0))
            clock.advance(1.5 + 3 * TICK)
            assert await caller.answered() == f"{LOCAL}:{server.port}"


async def test_an_upstream_that_starts_late_is_reached(serve: Serve, clock: FakeClock) -> None:
    """A refused dial is repeated, within a second each time, until the upstream listens."""
    server = serve(hold, listening=False)
    async with dialling(clock=clock) as on:
        upstream = on.upstream(server.port)
        caller = on.call(upstream)
        for rounds in (1, 2, 3):
            await rests(caller)
            assert upstream.endpoints[0].health.failures >= rounds
            clock.advance(1.0)
        await rests(caller)
        server.start()
        clock.advance(1.0)
        assert await caller.answered() == f"{LOCAL}:{server.port}"
        assert len(upstream.queue) == 0


@pytest.mark.parametrize("holes", [1, 2])
async def test_nobody_answering_is_a_timeout(holes: int, clock: FakeClock) -> None:
    """A dial of black holes alone ends `connect_timeout`, and says who did not answer."""
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            caller = on.call(on.upstream(*[port] * holes, timeout=0.3))
            clock.advance(0.3 + TICK)
            assert await caller.answered() == "connect_timeout"
            assert f"{LOCAL}:{port}" in caller.error


async def test_an_upstream_that_never_comes_is_refused_at_the_deadline(clock: FakeClock) -> None:
    """A dial that is refused until its deadline ends `connect_refused`."""
    port = free_port()
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(port, timeout=0.3))
        await keeps_resting(caller, clock, 0.29)
        clock.advance(0.01 + TICK)
        assert await caller.answered() == "connect_refused"
        assert f"{LOCAL}:{port}: Connection refused" in caller.error


async def test_a_cancelled_dial_closes_its_socket_and_says_nothing(clock: FakeClock) -> None:
    """Whoever cancels a dial gets no answer, and nothing of the dial is left."""
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, timeout=0.1)
            caller = on.call(upstream)
            assert caller.dial is not None
            sock = caller.dial.connecting
            assert sock is not None
            caller.dial.cancel()
            assert sock.fileno() == -1
            assert len(upstream.queue) == 0
            clock.advance(10)
            assert caller.answers == 0
            assert clock.timers == []
            on.callers.clear()


async def test_a_connection_that_no_event_has_told_of_yet_can_be_handed_over(serve: Serve) -> None:
    """Whoever asks for it gets the connection in the moment in which it is there, and exactly once."""
    server = serve(hold)
    async with dialling() as on:
        upstream = on.upstream(server.port)
        caller = on.call(upstream)
        assert caller.dial is not None
        assert caller.dial.hand_over()  # on the loopback interface, connect() is through when it returns
        assert caller.leg is not None
        await on.call(upstream).answered()  # whose event came later
        assert caller.answers == 1


async def test_a_connection_that_is_not_there_yet_is_not_handed_over() -> None:
    """A dial into a black hole has nothing to hand over, and goes on."""
    with black_hole() as port:
        async with dialling() as on:
            upstream = on.upstream(port)
            caller = on.call(upstream)
            assert caller.dial is not None
            assert not caller.dial.hand_over()
            assert len(upstream.queue) == 1


async def test_a_dial_to_itself_is_refused_and_the_next_endpoint_is_tried(serve: Serve) -> None:
    """An endpoint that is a listener of this process is never dialled; a second one is."""
    server, own = serve(hold), serve(hold)
    async with dialling() as on:
        on.is_own = lambda _host, port: port == own.port
        caller = on.call(on.upstream(own.port, timeout=0.3))
        assert await caller.answered() == "connect_failed"
        assert "this ambassador itself" in caller.error
        assert await on.call(on.upstream(own.port, server.port)).answered() == f"{LOCAL}:{server.port}"
        assert not own.accepted


async def test_a_connection_to_itself_is_taken_for_a_refusal(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel gives a dial the very port that it dials, TCP's meeting with itself is no success."""
    port = free_port()

    def own_port(_host: str) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOCAL, port))
        return sock

    monkeypatch.setattr(attempt_module, "dialling_socket", own_port)
    monkeypatch.setattr(attempt_module, "first_ephemeral_port", lambda: 1)
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(port, timeout=0.3))
        await keeps_resting(caller, clock, 0.29)
        clock.advance(0.01 + TICK)
        assert await caller.answered() == "connect_refused"


async def test_an_error_of_ours_fails_one_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error within a dial ends that dial as `failed`, with its name."""

    def broken(_host: str) -> socket.socket:
        raise LookupError("broken on purpose")

    monkeypatch.setattr(attempt_module, "dialling_socket", broken)
    async with dialling() as on:
        upstream = on.upstream(9)
        caller = on.call(upstream)
        assert await caller.answered() == "failed"
        assert caller.error == "LookupError: broken on purpose"
        assert len(upstream.queue) == 0


async def test_ipv6_endpoints_are_dialled() -> None:
    """An IPv6 endpoint is dialled and written in brackets."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        async with dialling() as on:
            assert await on.call(on.upstream(("::1", port))).answered() == f"[::1]:{port}"


async def test_a_dial_keeps_to_its_deadline_whatever_it_does(clock: FakeClock) -> None:
    """A dial that is refused, rests and is refused again has its answer at its deadline, and not before."""
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(free_port(), free_port(), timeout=5.0))
        await keeps_resting(caller, clock, 4.99)
        assert not caller.answers
        clock.advance(0.01 + TICK)
        assert await caller.answered() == "connect_refused"
