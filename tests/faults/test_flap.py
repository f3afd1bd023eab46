"""An upstream that comes and goes under load."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from tests.support.net import connect, perhaps_reset, read_to_end
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

CLIENTS = 10
FLAPS = 15


def test_a_flapping_upstream_costs_resets_at_most(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """While the upstream comes and goes, each client gets its whole answer or a reset, never less in good order."""
    server = serve(echo)
    running = ambassador(server.port, loop=loop_name, settings={"CONNECT_TIMEOUT": "30s"})
    stop = threading.Event()
    wrong: list[object] = []
    answered = [0] * CLIENTS

    def ask(number: int) -> None:
        question = bytes([number]) * 5000
        while not stop.is_set():
            with perhaps_reset(), connect(running.port) as client:
                client.sendall(question)
                client.shutdown(socket.SHUT_WR)
                if read_to_end(client) != question:
                    wrong.append(number)
                answered[number] += 1

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(FLAPS):
            before = sum(answered)
            while sum(answered) < before + CLIENTS:
                stop.wait(0.01)
            server.stop_listening()
            stop.wait(0.05)
            server.start()
    finally:
        stop.set()
        for asker in askers:
            asker.join(60)
    assert wrong == []
    assert all(answered)
    assert {line["end"] for line in running.named("connection.closed")} <= {
        "closed", "upstream_reset", "client_reset", "connect_refused",
    }  # fmt: skip
    with running.connect() as client:
        client.sendall(b"still here")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"still here"
    assert running.stop() == 0
