"""Peers that vanish."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.conftest import LOOPS
from tests.support.deadline import eventually
from tests.support.net import connect, free_port
from tests.support.process import Ambassador
from tests.support.servers import Server
from tests.support.wire import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

# A server that reads and says nothing, and a client that does.
SERVER = """
import socket, time
server = socket.create_server(("{host}", {port}))
print("listening", flush=True)
clients = []
while True:
    clients.append(server.accept())
"""
CLIENT = """
import socket, time
client = socket.create_connection(("{host}", {port}))
client.sendall(b"x")
print("connected", flush=True)
time.sleep(3600)
"""


@dataclass
class Vanished:
    """An ambassador with three connections, two of whose peers are gone.

    Attributes:
        to_upstream: the client whose upstream is gone.
        to_client: the upstream's socket whose client is gone.
        stalled: a client that is alive, and reads nothing of what its upstream sends.
        pouring: that upstream's socket.
    """

    running: Ambassador
    to_upstream: socket.socket
    to_client: socket.socket
    stalled: socket.socket
    pouring: socket.socket
    since: float


@pytest.fixture(scope="module")
def vanished() -> Iterator[dict[str, Vanished]]:
    """Let peers vanish with data in flight, under an ambassador on each event loop: to find out takes both a minute."""
    with contextlib.ExitStack() as stack:
        cut = stack.enter_context(wire())
        silent = free_port()
        cut.start(SERVER.format(host=cut.there, port=silent))
        made: dict[str, Vanished] = {}
        for loop in LOOPS:
            server = stack.enter_context(Server())
            running = Ambassador(
                [f"tcp://{cut.there}:{silent}", server.port],
                {"BIND": f"127.0.0.1,{cut.here}"},
                loop=loop, files=None, prelude="", arguments=(), links={},
            )  # fmt: skip
            stack.callback(running.close)
            running.ready()
            to_upstream = stack.enter_context(connect(running.ports[0]))
            to_upstream.sendall(b"x")
            cut.start(CLIENT.format(host=cut.here, port=running.ports[1]))
            to_client = server.client(0)
            assert to_client.recv(1) == b"x"
            stalled = stack.enter_context(connect(running.ports[1]))
            made[loop] = Vanished(running, to_upstream, to_client, stalled, server.client(1), 0.0)
            eventually(functools.partial(holds, running, 6))
        cut.cut()
        for one in made.values():
            one.since = time.monotonic()
            one.to_upstream.sendall(b"nobody acknowledges this")
            one.to_client.sendall(b"nor this")
            fill(one.pouring)
        yield made


def holds(running: Ambassador, descriptors: int) -> bool:
    """Tell whether it has so many open files."""
    return running.descriptors() >= descriptors


def fill(sock: socket.socket) -> None:
    """Send until a stalled reader's kernels are full."""
    sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            sock.send(bytes(1 << 16))
    sock.settimeout(30)
