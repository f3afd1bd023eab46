"""An upstream that never answers, beside one that does."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from tests.support.deadline import eventually
from tests.support.net import black_hole, read_to_end, reset
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve


def test_100_clients_of_a_black_hole_delay_nobody_else(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """Beside 100 pending dials another route serves every client, and clients that leave take their dials with them."""
    server = serve(echo)
    with black_hole() as port:
        running = ambassador(port, server.port, loop=loop_name, settings={"CONNECT_TIMEOUT": "1h"})
        base = running.descriptors()
        with contextlib.ExitStack() as stack:
            pending = [stack.enter_context(running.connect(0)) for _ in range(100)]
            eventually(lambda: running.descriptors() >= base + 200, "a dial for each client")
            for _ in range(100):
                with running.connect(1) as client:
                    client.sendall(b"hello")
                    client.shutdown(socket.SHUT_WR)
                    assert read_to_end(client) == b"hello"
            assert len(running.closed(100)) == 100
            for client in pending:
                reset(client)
        gone = running.wait_for("connection.closed", 100, end="client_gone")
        assert len(gone) == 100
        eventually(lambda: running.descriptors() <= base + 2, "the descriptors of all dials back")
