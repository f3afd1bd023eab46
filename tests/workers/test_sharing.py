"""Clients are shared out evenly, but never kept waiting for a worker that does not come."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.workers.sharing import Loads
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import final_error, read_to_end
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve
    from tests.workers.conftest import LaunchFleet


def test_the_busier_worker_leaves_clients_to_the_other() -> None:
    """A worker is ahead when another has fewer connections; among many a few more do not matter."""
    loads = Loads(2)
    loads.publish(1, 0)
    assert not loads.ahead(0)
    assert loads.ahead(1)

    loads.publish(1, 320)
    assert not loads.ahead(340)
    assert loads.ahead(341)


def test_nobody_leaves_clients_to_the_absent() -> None:
    """Before a worker serves, and after it is gone, it has no share."""
    loads = Loads(2)
    assert not loads.ahead(1000)

    loads.publish(1, 0)
    loads.leave(1)
    assert not loads.ahead(1000)


def test_loads_are_seen_across_a_fork() -> None:
    """What a child publishes, its parent reads."""
    loads = Loads(2)
    pid = os.fork()
    if pid == 0:
        loads.publish(1, 5)
        os._exit(0)
    os.waitpid(pid, 0)

    assert not loads.ahead(5)
    assert loads.ahead(6)


def test_a_burst_is_served_although_the_other_worker_hangs(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker with more clients than one that hangs accepts every client all the same."""
    server = serve(hold)
    running = fleet(server.port)
    stopped = running.pids[0]
    os.kill(stopped, signal.SIGSTOP)
    clients = [running.ambassador.connect() for _ in range(100)]
    try:
        eventually(lambda: len(server.accepted) == 100)
    finally:
        os.kill(stopped, signal.SIGCONT)
        for client in clients:
            client.close()


def outside_address() -> str:
    """Return an address of this machine that is not a loopback one; skip where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def is_reset(address: str, port: int) -> bool:
    """Connect, and tell whether that ends by a reset, which may come before the connection is known here."""
    try:
        with socket.create_connection((address, port), PATIENCE) as client:
            return final_error(client) is ConnectionResetError
    except ConnectionResetError:
        return True


def test_dials_that_come_back_go_round_a_few_times_at_most(ambassador: Launch) -> None:
    """Where address translation brings dials back, workers dial each other only until one meets a dial of its own."""
    address = outside_address()
    # A dial to ourselves is refused beforehand; one that is brought back cannot be seen before it is there.
    unseen = """
from ambassador.server.self_dials import SelfDials
from tests.support.prelude import replace
replace(SelfDials, "listens_at", lambda self, host, port: False)
"""
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"WORKERS": "2", "BIND": address, "LINKS": "off", "ROUTES": f"{port}={address}:{port}"}
    running = ambassador(settings=settings, prelude=unseen)

    assert [is_reset(address, port) for _ in range(5)] == [True] * 5

    running.wait_for("connection.closed", 5, end="connect_failed")
    assert running.stop() == 0
    assert len(running.named("connection.closed")) < 500  # measured: 15 to 36 for each client


def test_only_a_process_that_accepts_alone_delays_the_acknowledgement(ambassador: Launch, serve: Serve) -> None:
    """A worker never asks for it, so that it gets its own dials back in the turn in which it dialled."""
    broken = """
from ambassador.net import tcp
from tests.support.prelude import replace
def delay(sock):
    raise LookupError("asked to delay")
replace(tcp, "delay_acknowledgement", delay)
"""
    server = serve(echo)
    alone = ambassador(server.port, prelude=broken)
    with alone.connect() as client:
        assert final_error(client) is ConnectionResetError
    assert alone.closed()[0]["error"] == "LookupError: asked to delay"

    workers = ambassador(server.port, prelude=broken, settings={"WORKERS": "2"})
    with workers.connect() as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"x"
