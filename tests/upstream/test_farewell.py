"""What a server sees of a connection that was made and is not needed."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from ambassador.upstream.farewell import part
from tests.support.clock import FakeClock
from tests.support.deadline import PATIENCE, soon
from tests.support.dials import dialling
from tests.support.net import LOCAL, black_hole, final_error, pair

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve


@pytest.mark.parametrize("words", [b"", b"hello"])
async def test_a_server_sees_an_orderly_end(words: bytes) -> None:
    """Whoever speaks first, before and after the end, sees the end of a stream and never a reset."""
    server, sock = pair()
    async with dialling() as on:
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        on.poller.register(sock, lambda _mask: None)
        server.sendall(words)
        part(sock, on.context)
        assert server.recv(1) == b""
        server.sendall(words)
        server.shutdown(socket.SHUT_WR)
        await soon(lambda: sock.fileno() == -1, "the end of the connection")
        assert final_error(server) is None
        assert not on.deadlines._when
    server.close()


async def test_a_server_that_does_not_end_is_not_waited_for() -> None:
    """After two seconds the connection is closed, whatever the server does."""
    server, sock = pair()
    clock = FakeClock()
    async with dialling(clock=clock) as on:
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        on.poller.register(sock, lambda _mask: None)
        part(sock, on.context)
        clock.advance(2.0 - TICK)
        assert sock.fileno() != -1
        clock.advance(2 * TICK)
        assert sock.fileno() == -1
        assert clock.timers == []
    server.close()


async def test_what_is_not_connected_is_closed_at_once() -> None:
    """An attempt that nobody has answered yet leaves nothing behind."""
    with black_hole() as port:
        async with dialling() as on:
            sock = socket.socket()
            sock.setblocking(False)  # noqa: FBT003 - the name of it
            sock.connect_ex((LOCAL, port))
            on.poller.register(sock, lambda _mask: None)
            part(sock, on.context)
            assert sock.fileno() == -1
            assert not on.deadlines._when


async def test_a_loser_that_got_through_is_ended_in_order(serve: Serve, tmp_path: Path) -> None:
    """Of two addresses that both accept, the one that is not taken sees an orderly end, though it spoke first."""
    ends: list[type[OSError] | None] = []
    greeted = threading.Event()

    def greet(client: socket.socket) -> None:
        client.sendall(b"hello")
        greeted.set()
        ends.append(final_error(client))

    loser = serve(greet)
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.9 db\n{LOCAL} db\n")
    clock = FakeClock()
    with socket.create_server(("127.0.0.9", loser.port)):
        async with dialling(hosts, clock=clock) as on:
            caller = on.call(on.upstream(Endpoint(Address("192.0.2.1", loser.port), hosts_alias="db")))
            clock.advance(0.26)
            assert greeted.wait(PATIENCE)  # both are through by now, and no event has told of either
            assert caller.dial is not None
            assert caller.dial.hand_over()
            assert caller.address == f"127.0.0.9:{loser.port}"
            await soon(lambda: ends, "the end of the other connection")
            assert ends == [None]
            await soon(lambda: not on.deadlines._when, "our end of it")
