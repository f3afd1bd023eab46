"""Local ports that run out: all of them come free again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import PATIENCE, eventually
from tests.support.island import island
from tests.support.net import connect
from tests.support.servers import Server, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.island import Island

PORTS = 20


@pytest.fixture
def on() -> Iterator[Island]:
    """Yield a namespace with so many ports for dials."""
    with island() as made:
        made.inside("sysctl", "-w", f"net.ipv4.ip_local_port_range=40000 {40000 + PORTS - 1}")
        made.inside("sysctl", "-w", "net.ipv4.tcp_tw_reuse=1")  # after a second, as on loopback, and not after a minute
        yield made


def outcome(host: str, port: int, leave: threading.Event) -> str:
    """Return what becomes of a client that asks once, and then stays until it may leave."""
    with connect(port, host) as client:
        client.sendall(b"x")
        try:
            answer = client.recv(1)
        except ConnectionError:
            return "reset"
        leave.wait(PATIENCE)
        return "served" if answer == b"x" else "ended"


def test_clients_wait_for_a_local_port(on: Island) -> None:
    """With 20 local ports, all of them taken for a second, 30 clients are served within their time."""
    leave = threading.Event()
    with Server(echo, host=on.here) as server, ThreadPoolExecutor(30) as clients:
        running = on.ambassador(f"tcp://{on.here}:{server.port}")
        threads = [clients.submit(outcome, on.there, running.port, leave) for _ in range(30)]
        eventually(lambda: len(server.accepted) == PORTS, "every port taken")
        running.wait_for("route.upstream_down")  # for want of a port
        leave.set()
        got = [thread.result() for thread in threads]
    assert got == ["served"] * 30


def test_clients_wait_for_ports_that_rest(on: Island) -> None:
    """Of 40 short connections one after another, whose ports rest for a second after them, none is reset."""
    leave = threading.Event()
    leave.set()
    with Server(echo, host=on.here) as server:
        running = on.ambassador(f"tcp://{on.here}:{server.port}")
        got = [outcome(on.there, running.port, leave) for _ in range(40)]
    assert got == ["served"] * 40
