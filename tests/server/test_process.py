"""The life of a process: ready, draining, stopped; signals and exit codes."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.__main__ import _ONE_SHOT
from ambassador.cli import cli
from tests.support.cases import quick
from tests.support.net import LOCAL, black_hole, connect, exactly, final_error, free_port, read_to_end
from tests.support.prelude import patch
from tests.support.process import HANGING_LOOKUP, command
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

MAPPED_LOOKUP = """
import socket
from tests.support.prelude import replace
def getaddrinfo(name, *arguments, **options):
    return asked("::ffff:127.0.0.1" if name == "mapped.test" else name, *arguments, **options)
asked = replace(socket, "getaddrinfo", getaddrinfo)
"""


def test_it_says_what_it_listens_on_and_that_it_is_ready(ambassador: Launch, loop_name: str) -> None:
    """Every route's listener is in the log before `ambassador.ready`, with where it leads."""
    running = ambassador(80, "tcp://a.example:81,tcp://b.example:82", loop=loop_name)
    (ready,) = running.named("ambassador.ready")
    listening = running.named("route.listening")
    assert running.events.index(ready) == len(listening) == 2
    assert {(line["listen"], line["upstream"]) for line in listening} == {
        (f"{LOCAL}:{running.ports[0]}", f"{LOCAL}:80"),
        (f"{LOCAL}:{running.ports[1]}", "a.example:81,b.example:82"),
    }
    assert ready["routes"] == 2
    assert ready["version"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_process_ends_at_once_with_0(ambassador: Launch, number: signal.Signals, loop_name: str) -> None:
    """With no connection either signal ends the process with 0 long before the drain's timeout."""
    running = ambassador(80, loop=loop_name, settings={"DRAIN_TIMEOUT": "1h"})
    running.signal(number)
    assert running.exit_code() == 0
    assert running.named("ambassador.draining")[0]["reason"] == number.name
    (stopped,) = running.named("ambassador.stopped")
    assert stopped["exit_code"] == 0
    assert running.lines == []


def test_a_drain_lets_connections_end(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """While it drains, new clients are refused, those that are here talk on, and with their end it exits with 0."""
    running = ambassador(serve(echo).port, loop=loop_name, settings={"DRAIN_TIMEOUT": "1h"})
    with running.connect() as client:
        client.sendall(b"before")
        assert exactly(client, 6) == b"before"
        running.signal(signal.SIGTERM)
        assert running.wait_for("ambassador.draining")[0]["live"] == 1
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        client.sendall(b"during")
        assert exactly(client, 6) == b"during"
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert running.exit_code() == 0
    assert running.named("connection.closed")[0]["end"] == "closed"


def test_a_drain_without_time_cuts_at_once(ambassador: Launch, serve: Serve) -> None:
    """DRAIN_TIMEOUT=0 resets who is here, and exits with 1."""
    server = serve()
    running = ambassador(server.port, settings={"DRAIN_TIMEOUT": "0"})
    with running.connect() as client:
        server.client()
        running.signal(signal.SIGTERM)
        assert final_error(client) is ConnectionResetError
    assert running.exit_code() == 1
    (cut,) = running.named("ambassador.cut")
    assert cut["connections"] == 1


def test_a_second_signal_cuts(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A second SIGTERM ends a drain that would have lasted, with 1 and `drained` in the access log."""
    server = serve()
    running = ambassador(server.port, loop=loop_name, settings={"DRAIN_TIMEOUT": "1h"})
    with running.connect() as client:
        server.client()
        running.signal(signal.SIGTERM)
        running.wait_for("ambassador.draining")
        running.signal(signal.SIGTERM)
        assert final_error(client) is ConnectionResetError
    assert running.exit_code() == 1
    assert running.named("connection.closed")[0]["end"] == "drained"


def test_a_second_signal_after_the_last_connection_is_still_0(ambassador: Launch) -> None:
    """A second signal during the drain's delay, with nobody to cut, exits with 0."""
    running = ambassador(80, settings={"DRAIN_DELAY": "1h"})
    running.signal(signal.SIGTERM)
    running.wait_for("ambassador.draining")
    running.signal(signal.SIGINT)
    assert running.exit_code() == 0


def test_during_the_delay_it_accepts_and_is_not_ready(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """After SIGTERM it accepts for the delay, while the health check already says that it drains; then it refuses."""
    admin = f"{LOCAL}:{free_port()}"
    settings = {"DRAIN_DELAY": "3s", "DRAIN_TIMEOUT": "1h", "ADMIN": admin}
    running = ambassador(serve(echo).port, loop=loop_name, settings=settings)
    running.signal(signal.SIGTERM)
    running.wait_for("ambassador.draining")
    with running.connect() as client:
        client.sendall(b"hello")
        assert exactly(client, 5) == b"hello"
        assert command("healthcheck", env={"AMBASSADOR_ADMIN": admin})[0] == 1
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert running.exit_code() == 0
    assert running.named("ambassador.stopped")[0]["seconds"] >= 3


def test_clients_in_the_queue_are_not_reset_by_the_drain(ambassador: Launch, serve: Serve) -> None:
    """A client whose handshake was complete when the drain began is served, though its accept had not come yet."""
    one_a_turn = patch("ambassador.server.strangers", _SHARE=0)
    running = ambassador(serve(echo).port, prelude=one_a_turn, settings={"DRAIN_TIMEOUT": "1h"})
    running.signal(signal.SIGSTOP)
    clients = [running.connect() for _ in range(20)]
    running.signal(signal.SIGTERM)
    running.signal(signal.SIGCONT)
    for client in clients:
        with client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b"hello"
    assert running.exit_code() == 0


def test_a_dial_in_flight_may_end_during_the_drain(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A client whose dial is under way at SIGTERM gets its connection once the upstream is there."""
    server = serve(echo, listening=False)
    running = ambassador(server.port, loop=loop_name, settings={"DRAIN_TIMEOUT": "1h", "CONNECT_TIMEOUT": "1h"})
    with running.connect() as client:
        running.wait_for("route.upstream_down")
        running.signal(signal.SIGTERM)
        running.wait_for("ambassador.draining")
        server.start()
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"hello"
    assert running.exit_code() == 0


def test_dials_in_flight_are_cut_with_the_rest(ambassador: Launch, loop_name: str) -> None:
    """Clients of a black hole are reset at the drain's deadline, and count as cut."""
    with black_hole() as port:
        running = ambassador(port, loop=loop_name, settings={"DRAIN_TIMEOUT": "100ms", "CONNECT_TIMEOUT": "1h"})
        with running.connect() as client:
            running.signal(signal.SIGTERM)
            assert final_error(client) is ConnectionResetError
        assert running.exit_code() == 1
    assert running.named("connection.closed")[0]["end"] == "drained"


def test_a_hanging_lookup_delays_no_other_route_and_no_end(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """With a name server that never answers, another route serves, and SIGTERM ends the process as ever."""
    server = serve(echo)
    running = ambassador(
        "tcp://silent.example:80",
        server.port,
        loop=loop_name,
        prelude=HANGING_LOOKUP,
        settings={"CONNECT_TIMEOUT": "1h", "DRAIN_TIMEOUT": "100ms"},
    )
    with running.connect(0) as waiting, running.connect(1) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"hello"
        running.signal(signal.SIGTERM)
        assert final_error(waiting) is ConnectionResetError
    assert running.exit_code() == 1


def test_sighup_ends_nothing(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """SIGHUP, before and during the drain, ends neither the process nor a connection."""
    running = ambassador(serve(echo).port, loop=loop_name, settings={"DRAIN_TIMEOUT": "1h"})
    with running.connect() as client:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            running.signal(number)
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert running.exit_code() == 0


def test_it_ends_with_the_last_connection_not_with_the_timeout(ambassador: Launch, serve: Serve) -> None:
    """Of ten connections nine may end; only with the tenth the process does."""
    server = serve(hold)
    running = ambassador(server.port, settings={"DRAIN_TIMEOUT": "1h"})
    clients = [running.connect() for _ in range(10)]
    server.client(9)
    running.signal(signal.SIGTERM)
    running.wait_for("ambassador.draining")
    for number, client in enumerate(clients, start=1):
        assert running.process.poll() is None
        with client:
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
        running.closed(number)
    assert running.exit_code() == 0


@pytest.mark.parametrize("listen", quick(1, ["", "0.0.0.0", "::", LOCAL]))
@pytest.mark.parametrize("host", [LOCAL, "localhost"])
def test_a_dial_of_its_own_port_is_refused_however_it_is_bound(ambassador: Launch, listen: str, host: str) -> None:
    """Where the upstream is the listener itself, the first client ends the loop, not the last free descriptor."""
    port = free_port()
    settings = {"BIND": listen, "ROUTES": f"{port}={host}:{port}", "CONNECT_TIMEOUT": "1s"}
    running = ambassador(settings=settings)
    with contextlib.suppress(ConnectionResetError), connect(port) as client:  # it may be over before it is known here
        final_error(client)
    (line,) = running.closed()
    assert line["end"] in {"connect_failed", "connect_refused"}  # the latter from ::1, where nobody may listen
    assert len(running.named("route.dials_itself")) == 1
    assert running.stop() == 0


@pytest.mark.parametrize("workers", quick(1, ["1", "2"]))
@pytest.mark.parametrize(
    ("listen", "host"), quick(2, [(LOCAL, LOCAL), (LOCAL, "0.0.0.0"), ("*", LOCAL), (LOCAL, "mapped.test")])
)
def test_no_route_leads_to_the_admin_address(ambassador: Launch, listen: str, host: str, workers: str) -> None:
    """A client of a route to the admin server, who would have the rights of this machine, is reset instead."""
    port = free_port()
    settings = {"ADMIN": f"{listen}:{port}", "WORKERS": workers, "CONNECT_TIMEOUT": "1s"}
    running = ambassador(f"tcp://{host}:{port}", settings=settings, prelude=MAPPED_LOOKUP)
    with contextlib.suppress(ConnectionError), connect(running.port) as client:
        client.sendall(b"POST /drain HTTP/1.0\r\n\r\n")
        assert read_to_end(client) == b""
    (line,) = running.closed()
    assert line["end"] == "connect_failed"
    assert running.named("ambassador.draining") == []
    assert running.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_amid_the_start_is_heeded(ambassador: Launch, number: signal.Signals) -> None:
    """SIGTERM ends a start with 0 and without a word, SIGHUP does not disturb it."""
    prelude = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'ambassador.cli':\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    running = ambassador(free_port(), prelude=prelude, wait=False)
    if number == signal.SIGHUP:
        running.ready()
        assert running.stop() == 0
    else:
        assert running.exit_code() == 0
        assert running.events == []
    assert running.lines == []


def test_errands_are_all_commands_but_the_one_that_serves() -> None:
    """Only what serves takes SIGTERM for success: who waits for a server must not hear that it is there."""
    assert set(cli.commands) - {"run"} == _ONE_SHOT
