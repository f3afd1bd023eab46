"""More clients than descriptors."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from typing import TYPE_CHECKING

from tests.support.deadline import eventually
from tests.support.net import LOCAL, free_port
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve


def test_128_descriptors_and_200_clients(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """Who got in is served, the rest wait without costing CPU, admin answers, and in the end all 200 were served."""
    admin = f"{LOCAL}:{free_port()}"
    running = ambassador(serve(echo).port, loop=loop_name, files=128, settings={"ADMIN": admin})
    (ready,) = running.named("ambassador.ready")
    cap = ready["max_connections"]
    assert 20 <= cap < 64
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(200)]
        for client in clients:
            client.sendall(b"x")
        for client in clients[:cap]:
            assert client.recv(1) == b"x"
        running.wait_for("accept.paused")
        assert running.descriptors() <= 128
        cpu, started = running.cpu(), time.monotonic()
        eventually(lambda: time.monotonic() - started > 1.5)
        assert running.cpu() - cpu < 0.75
        assert len(running.named("accept.paused")) <= 2 + time.monotonic() - started
        for _ in range(8):  # each on a connection of its own
            with urllib.request.urlopen(f"http://{admin}/status", timeout=30) as answer:
                assert json.load(answer)["state"] == "serving"
        for client in clients[:cap]:  # those that are here go on
            client.sendall(b"y")
            assert client.recv(1) == b"y"
        for number, client in enumerate(clients):
            if number >= cap:
                assert client.recv(1) == b"x"
            client.close()
    running.closed(200)
    assert running.wait_for("accept.resumed")
    assert running.stop() == 0


def test_a_limit_that_is_wrong_about_itself_only_pauses(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """Where descriptors run out before the cap is reached, accepting pauses for EMFILE, and everybody is served."""
    prelude = """
from ambassador.server import wiring
from ambassador.net.limits import Limits
from tests.support.prelude import replace
replace(wiring, "divide", lambda files, *, listeners: Limits(connections=1000, admin=2, pipes=1))
"""
    settings = {"CONNECT_TIMEOUT": "60s"}
    running = ambassador(serve(echo).port, loop=loop_name, files=64, prelude=prelude, settings=settings)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(100)]
        for client in clients:
            client.sendall(b"x")
        assert running.wait_for("accept.paused")[0]["reason"] == "EMFILE"
        served: list[object] = []
        waiting = list(clients)
        for client in waiting:
            client.settimeout(0.05)

        def one_more() -> bool:
            for client in list(waiting):
                with contextlib.suppress(TimeoutError):
                    assert client.recv(1) == b"x"
                    waiting.remove(client)
                    served.append(client)
                    client.close()
            return not waiting

        eventually(one_more, "an answer for everybody")
    lines = running.closed(100)
    assert {line["end"] for line in lines} == {"closed"}
    assert running.stop() == 0
