"""Names with several addresses, as a real name service gives them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.support.island import island
from tests.support.net import connect, free_port
from tests.support.servers import Server, greet
from tests.support.turned_names import NameServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.island import Island

CLIENTS = 60
# An echo server that knows IPv4 only.
SERVER = """
import socket
server = socket.create_server(("127.0.0.1", {port}))
print("listening", flush=True)
while True:
    with server.accept()[0] as client:
        while data := client.recv(100):
            client.sendall(data)
"""


@pytest.fixture
def on() -> Iterator[Island]:
    """Yield a namespace with names of its own."""
    with island() as made:
        yield made


@pytest.mark.parametrize("bursts", [1, 2])
def test_a_pool_that_opens_is_spread_over_all_addresses(on: Island, bursts: int) -> None:
    """Of 60 clients that come at once, or in bursts, each of a name's three addresses gets about twenty."""
    port, hosts = free_port(), [on.address() for _ in range(3)]
    on.name_server(on.here)
    with contextlib.ExitStack() as stack:
        stack.enter_context(NameServer(on.here, hosts))
        servers = [stack.enter_context(Server(greet, host=host, port=port)) for host in hosts]
        running = on.ambassador(f"tcp://db.example:{port}")
        for _ in range(bursts):
            clients = [stack.enter_context(connect(running.port, on.there)) for _ in range(CLIENTS // bursts)]
            for client in clients:
                assert client.recv(1) == b"x"
        shares = [len(server.accepted) for server in servers]
    # Those who are accepted in one turn share a look-up, and are one off at most.
    assert sum(shares) == CLIENTS
    assert max(shares) - min(shares) <= 6


def test_a_family_that_nobody_serves_is_no_news(on: Island) -> None:
    """Where `localhost` is ::1 first and the server knows 127.0.0.1 only, all works, and no log says otherwise."""
    port = free_port()
    on.hosts({"localhost": ["::1", "127.0.0.1"]})
    on.start(SERVER.format(port=port))
    running = on.ambassador(f"tcp://localhost:{port}")
    for _ in range(6):
        with connect(running.port, on.there) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
    running.closed(6)

    assert {entry["level"] for entry in running.events} == {"info"}
    assert running.named("route.upstream_up") == []
