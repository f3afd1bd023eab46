"""Clients that give up while their upstream is away: it must not be dialled for them when it is back."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.island import island
from tests.support.mariadb import MariaDB
from tests.support.net import LOCAL, read_to_end
from tests.support.servers import echo, greet
from tests.support.wire import needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador

# MariaDB locks a host out after a hundred: so many clients, so often, are far more.
CLIENTS, ROUNDS = 40, 7


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[MariaDB]:
    """Yield a MariaDB that is not there yet."""
    needs("mariadbd", "mariadb-install-db", "mariadb")
    with island() as on:
        made = MariaDB(on, tmp_path)
        try:
            yield made
        finally:
            made.stop()


def give_up(running: Ambassador, count: int, patience: float) -> None:
    """Have so many clients come at once, wait for their server's first byte, and leave without it."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(count)]
        readable, _, _ = select.select(clients, [], [], patience)
        assert readable == []


@pytest.mark.slow
def test_a_mariadb_that_comes_back_sees_nobody_of_those_who_left(ambassador: Launch, mariadb: MariaDB) -> None:
    """Of 280 clients that gave up in seven seconds, and some seconds ago, a server that comes back sees none."""
    running = ambassador(f"tcp://{mariadb.host}:{mariadb.port}", settings={"CONNECT_TIMEOUT": "1h"})
    for _ in range(ROUNDS):
        give_up(running, CLIENTS, patience=1)
    running.closed(ROUNDS * CLIENTS)

    mariadb.start()
    assert mariadb.query(LOCAL, running.port) == "42"
    assert mariadb.aborted_connects() == 0


@pytest.mark.slow
def test_a_mariadb_that_comes_back_locks_nobody_out(ambassador: Launch, mariadb: MariaDB) -> None:
    """A server that comes back as the last of 280 clients gives up sees a few of them at most, and serves the next."""
    running = ambassador(f"tcp://{mariadb.host}:{mariadb.port}")
    for _ in range(ROUNDS):
        give_up(running, CLIENTS, patience=1)

    mariadb.start()
    running.closed(ROUNDS * CLIENTS)
    assert mariadb.query(LOCAL, running.port) == "42"
    assert mariadb.aborted_connects() <= 20


def test_clients_that_wait_are_served_before_those_that_left(ambassador: Launch, serve: Serve) -> None:
    """Whoever is still there when the upstream comes back is served, and none of those who left comes before."""
    server = serve(greet, listening=False)
    running = ambassador(server.port, settings={"CONNECT_TIMEOUT": "1h"})
    with contextlib.ExitStack() as stack:
        gone = [stack.enter_context(running.connect()) for _ in range(CLIENTS)]
        waiting = [stack.enter_context(running.connect()) for _ in range(CLIENTS)]
        names = {client.getsockname()[1] for client in waiting}
        for client in gone:
            client.close()
        running.closed(CLIENTS)

        server.start()
        for client in waiting:
            assert client.recv(1) == b"x"
    served = running.closed(2 * CLIENTS)[CLIENTS:]
    assert {int(line["client"].rpartition(":")[2]) for line in served} == names
    assert len(server.accepted) == CLIENTS


def test_a_half_closed_client_is_served_by_an_upstream_that_is_soon_back(ambassador: Launch, serve: Serve) -> None:
    """A client that has said all it has to say gets its answer if the upstream comes back within a moment."""
    server = serve(echo, listening=False)
    running = ambassador(server.port)
    with running.connect() as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        running.wait_for("route.upstream_down")
        server.start()
        assert read_to_end(client) == b"hello"
