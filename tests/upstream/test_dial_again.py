"""A dial is tried again for what is no fault of its upstream: a shortage here, or a process that was stopped."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.net import sockets, tcp
from ambassador.net.deadlines import TICK
from ambassador.upstream import attempt as attempt_module
from tests.support.dials import dialling, rests
from tests.support.net import LOCAL, black_hole, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.clock import FakeClock


async def test_running_out_of_descriptors_passes(
    serve: Serve, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dial for which there is no descriptor at the moment is tried again and gets through."""
    server = serve(hold)
    new_socket = sockets.dialling_socket
    failures = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

    def short(host: str) -> socket.SocketType:
        if failures:
            raise OSError(failures.pop(), "out of something")
        return new_socket(host)

    monkeypatch.setattr(attempt_module, "dialling_socket", short)
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(server.port))
        while failures:
            await rests(caller)
            clock.advance(1.0)
        assert await caller.answered() == f"{LOCAL}:{server.port}"


@pytest.mark.parametrize("resting", [True, False])
async def test_a_dial_that_was_late_because_all_was_stopped_has_one_more_try(
    serve: Serve, clock: FakeClock, *, resting: bool
) -> None:
    """When the process was stopped past a deadline the dial tries again, and has two more seconds, once."""
    server = serve(hold, listening=not resting)
    async with dialling(clock=clock) as on:
        upstream = on.upstream(server.port, timeout=3.0)
        caller = on.call(upstream)
        if resting:
            await rests(caller)
            server.start()
        clock.freeze(5.0)
        assert await caller.answered() == f"{LOCAL}:{server.port}"


async def test_an_endpoint_is_not_to_blame_for_a_process_that_was_stopped(clock: FakeClock) -> None:
    """A step whose time passed while all was stopped has its time anew, and its endpoint is not passed over."""
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, free_port(), timeout=30.0)
            caller = on.call(upstream)
            assert caller.dial is not None
            first = caller.dial.connecting
            clock.freeze(5.0)
            assert caller.dial.connecting is first
            assert not upstream.endpoints[0].ejection.ejected
            clock.advance(2.0 + TICK)
            assert upstream.endpoints[0].ejection.ejected


async def test_one_more_try_is_one(clock: FakeClock) -> None:
    """An upstream that is still away two seconds after the process goes on is the end of the dial."""
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, free_port(), timeout=3.0)
            caller = on.call(upstream)
            clock.freeze(5.0)
            assert not caller.answers
            assert not upstream.endpoints[0].ejection.ejected  # it was not silent, for nobody was there to listen
            clock.advance(2.0 + TICK)
            assert await caller.answered() in {"connect_timeout", "connect_refused"}


async def test_running_out_of_local_ports_passes(
    serve: Serve, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dial for which the kernel has no local port is tried again, and gets through when there is one."""
    server, port, new_socket = serve(hold), free_port(), sockets.dialling_socket

    def only_port(host: str) -> socket.SocketType:
        sock = new_socket(host)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOCAL, port))
        return sock

    taken = only_port(LOCAL)
    taken.connect_ex((LOCAL, server.port))
    server.client()
    monkeypatch.setattr(attempt_module, "dialling_socket", only_port)
    async with dialling(clock=clock) as on:
        caller = on.call(on.upstream(server.port))
        await rests(caller)
        assert caller.dial is not None
        assert caller.dial.error.endswith(": Cannot assign requested address")
        tcp.reset_on_close(taken)
        taken.close()
        clock.advance(1.0)
        assert await caller.answered() == f"{LOCAL}:{server.port}"
