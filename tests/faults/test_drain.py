"""Hosts that vanish during the drain."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.net import final_error, free_port
from tests.support.wire import wire

if TYPE_CHECKING:
    from tests.conftest import Launch

SERVER = """
import socket
server = socket.create_server(("{host}", {port}))
print("listening", flush=True)
clients = []
while True:
    clients.append(server.accept())
"""


@pytest.mark.slow
def test_hosts_that_vanish_do_not_keep_the_drain_from_ending(ambassador: Launch, loop_name: str) -> None:
    """Upstreams that vanish with data in flight during the drain cost its timeout, and the clients are reset."""
    with wire() as cut:
        port = free_port()
        cut.start(SERVER.format(host=cut.there, port=port))
        running = ambassador(f"tcp://{cut.there}:{port}", loop=loop_name, settings={"DRAIN_TIMEOUT": "5s"})
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(running.connect()) for _ in range(5)]
            for client in clients:
                client.sendall(b"x")
            running.signal(signal.SIGTERM)
            assert running.wait_for("ambassador.draining")[0]["live"] == 5
            cut.cut()
            for client in clients:
                client.sendall(b"into the void")
            for client in clients:
                assert final_error(client) is ConnectionResetError
        assert running.exit_code() == 1
        assert [line["end"] for line in running.named("connection.closed")] == ["drained"] * 5


def test_a_dial_into_a_network_that_vanished_ends_with_the_drain(ambassador: Launch) -> None:
    """A client whose dial finds nobody during the drain is cut at the drain's deadline at the latest."""
    with wire() as cut:
        cut.cut()
        running = ambassador(f"tcp://{cut.there}:80", settings={"DRAIN_TIMEOUT": "1s", "CONNECT_TIMEOUT": "1h"})
        with running.connect() as client:
            running.signal(signal.SIGTERM)
            assert final_error(client) is ConnectionResetError
        assert running.exit_code() == 1
