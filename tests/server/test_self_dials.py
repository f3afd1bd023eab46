"""Dials that address translation brings back to the ambassador itself, and clients that only look like those."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.net import free_port
from tests.support.process import Ambassador
from tests.support.wire import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire import Wire

# Neighbours' address (RFC 5737), which nobody has.
VIRTUAL = "203.0.113.7"
CROWD = 150
# As many ports for the clients and the dials of one machine that many of both have the same.
PORTS = 400
# Clients of the machine that the ambassador runs on, by that machine's own address; each is answered by one word.
CLIENTS = """
import socket, threading
server = socket.create_server(("{there}", {upstream}), backlog=1024)
kept = []
def serve():
    while True:
        client, _ = server.accept()
        kept.append(client)
        client.sendall(b"hi")
threading.Thread(target=serve, daemon=True).start()
clients = [socket.create_connection(("{there}", {port})) for _ in range({crowd})]
ports = {{client.getsockname()[1] for client in clients}}
answers = [client.recv(2) for client in clients]
shared = ports & {{client.getpeername()[1] for client in kept}}
assert answers == [b"hi"] * {crowd}, answers
assert shared, "no port was given twice"
print("served", flush=True)
"""


@contextlib.contextmanager
def ambassador_in(net: Wire, upstream: str) -> Iterator[Ambassador]:
    """Run an ambassador in a namespace, with a route to *upstream*."""
    running = Ambassador(
        [upstream],
        {"BIND": net.there},
        loop="uvloop",
        files=None,
        prelude="",
        arguments=(),
        links={},
        prefix=net.prefix,
    )
    try:
        running.ready()
        yield running
    finally:
        running.close()


def test_a_dial_that_is_brought_back_is_refused() -> None:
    """Where address translation sends a dial back here, the client is reset before it costs many connections."""
    with wire() as net, ambassador_in(net, f"tcp://{VIRTUAL}:{free_port()}") as running:
        port = running.port
        net.inside("ip", "route", "add", VIRTUAL, "via", net.here)
        net.inside(
            "iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", VIRTUAL, "-j", "DNAT",
            "--to", f"{net.there}:{port}",
        )  # fmt: skip
        with socket.create_connection((net.there, port), 10) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        lines = running.closed()
        running.stop()
        lines = running.named("connection.closed")
        assert len(running.named("route.dials_itself")) == 1
        assert 1 < len(lines) < 16
        first = next(line for line in lines if line["client"].startswith(net.here))
        assert first["end"] == "connect_failed"
        assert "this ambassador itself" in first["error"]


def test_local_clients_whose_ports_our_dials_have_as_well_are_served() -> None:
    """Clients of the same machine are served though dials to elsewhere were given their ports, and stay served."""
    upstream = free_port()
    with wire() as net:
        net.inside("sysctl", "-qw", f"net.ipv4.ip_local_port_range=40000 {40000 + PORTS - 1}")
        with ambassador_in(net, f"tcp://{net.there}:{upstream}") as running:
            crowd = net.start(CLIENTS.format(there=net.there, upstream=upstream, port=running.port, crowd=CROWD))
            assert crowd.wait(30) == 0
            lines = running.closed(CROWD)
            assert running.named("route.dials_itself") == []
            assert {line["end"] for line in lines} <= {"closed", "client_reset", "upstream_reset"}
            assert len(lines) == CROWD
