"""Accepting: the cap, running out of descriptors, faults of clients, and a listener that cannot go on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import socket
import time
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ambassador.errors import StartError
from ambassador.metrics import RouteCounters
from ambassador.net.address import Address
from ambassador.net.poller import Poller
from ambassador.net.sockets import bind, ignore_newcomers
from ambassador.server.connections import Connections
from ambassador.server.listener import Listener
from ambassador.server.places import Places
from ambassador.server.strangers import Strangers
from tests.support.deadline import eventually, soon
from tests.support.net import LOCAL, connect, final_error, free_port, read_to_end
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

# Accepting fails this often with this error, then works; a listener in this package accepts by sock._accept.
FAILING_ACCEPT = """
import errno, json, os, socket, sys, time
from ambassador.net import sockets
from tests.support.prelude import altered, replace
left = [{count}]
class Failing(socket.socket):
    def _accept(self):
        if left[0]:
            left[0] -= 1
            print(json.dumps(dict(event="test.accept_failed", at=time.monotonic())), file=sys.stderr, flush=True)
            raise OSError(errno.{error}, os.strerror(errno.{error}))
        return super()._accept()
replace(sockets, "socket", altered(socket, socket=Failing))
"""


def says_hello(port: int) -> bool:
    """Tell whether a connection to *port* gets through to an echo server."""
    with connect(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client) == b"hello"


def test_beyond_the_cap_clients_wait_in_the_queue(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A client above the cap is not refused: it is served as soon as another one leaves, and both facts are logged."""
    server = serve(echo)
    running = ambassador(server.port, loop=loop_name, settings={"MAX_CONNECTIONS": "3"})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(5)]
        for client in clients:
            client.sendall(b"x")
        for client in clients[:3]:
            assert client.recv(1) == b"x"
        (paused,) = running.wait_for("accept.paused")
        assert (paused["reason"], paused["live"]) == ("max_connections", 3)
        assert len(server.accepted) == 3
        clients[0].close()
        assert clients[3].recv(1) == b"x"
        clients[1].close()
        assert clients[4].recv(1) == b"x"
        assert running.wait_for("accept.resumed")[0]["reason"] == "max_connections"


@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"])
def test_a_shortage_pauses_accepting_and_passes(ambassador: Launch, serve: Serve, error: str) -> None:
    """Each kind of shortage pauses accepting, is named, and the client that waited is served afterwards."""
    running = ambassador(serve(echo).port, prelude=FAILING_ACCEPT.format(count=3, error=error))
    assert says_hello(running.port)
    assert running.wait_for("accept.paused")[0]["reason"] == error
    assert running.wait_for("accept.resumed")[0]["reason"] == error


@pytest.mark.parametrize("error", ["ECONNABORTED", "EPROTO", "EPERM", "ENETDOWN", "EHOSTUNREACH", "EINTR"])
def test_a_fault_of_a_client_is_passed_over(ambassador: Launch, serve: Serve, error: str) -> None:
    """An accept that fails for a reason of the client's or the network's is followed by the next, without a word."""
    running = ambassador(serve(echo).port, prelude=FAILING_ACCEPT.format(count=3, error=error))
    assert says_hello(running.port)
    running.wait_for("test.accept_failed", 3)
    assert not running.named("accept.paused")
    assert running.stop() == 0


@pytest.mark.parametrize("error", ["EBADF", "EINVAL", "ENOTSOCK"])
def test_a_listener_that_cannot_go_on_ends_the_process(
    ambassador: Launch, serve: Serve, error: str, loop_name: str
) -> None:
    """An error that no waiting mends is told with its route, and the exit code is 1: no listener dies in silence."""
    server = serve(echo)
    running = ambassador(server.port, loop=loop_name, prelude=FAILING_ACCEPT.format(count=10**9, error=error))
    with contextlib.suppress(OSError), running.connect() as client:
        final_error(client)
    assert running.exit_code() == 1
    (failed,) = running.named("listener.failed")
    assert failed["route"] == f"up:{running.port}"
    assert failed["error"]
    assert running.lines == []


def test_out_of_descriptors_it_stays_calm(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """For as long as accepting fails, it is tried ten times a second, and warned of once a second, at most."""
    prelude = FAILING_ACCEPT.format(count=10**9, error="EMFILE")
    running = ambassador(serve(echo).port, loop=loop_name, prelude=prelude)
    with running.connect():
        running.wait_for("accept.paused")
        started, cpu = time.monotonic(), running.cpu()
        failed = [event["at"] for event in running.wait_for("test.accept_failed", 20)]
        cpu, seconds = running.cpu() - cpu, time.monotonic() - started
        assert min(later - earlier for earlier, later in itertools.pairwise(failed)) > 0.09  # clocks have a grain
        assert cpu < 0.1 * seconds  # measured: 0.005
        assert len(running.named("accept.paused")) <= 2 + failed[-1] - failed[0]
    assert running.stop() == 0


@pytest.mark.parametrize("short", [False, True])
async def test_however_many_come_while_accepting_is_paused_one_try_is_due(short: bool) -> None:  # noqa: FBT001 - a case
    """Each client that comes to wait is an event, and none of them adds a try to the one that is to come."""
    loop = asyncio.get_running_loop()
    poller, connections = Poller(loop), Connections(None if short else 0)
    strangers = Strangers(poller, enough=1)
    process = SimpleNamespace(poller=poller, connections=connections, self_dials=None, strangers=strangers)
    route = SimpleNamespace(name="x", counters=RouteCounters(), places=Places(connections))
    tries = []

    def fail() -> NoReturn:
        tries.append(loop.time())
        raise OSError(errno.EMFILE, "no")

    with bind(Address(LOCAL, 0), keepalive=0) as sock, contextlib.ExitStack() as clients:
        listener = Listener(sock, route, process, accept_one=fail)  # type: ignore[arg-type]  # as much as it asks for
        listener.start()
        for _ in range(40):
            clients.enter_context(connect(sock.getsockname()[1]))
            await asyncio.sleep(0.001)
        assert len(connections.on_room) == (0 if short else 1)
        tries.clear()
        if short:
            await soon(lambda: len(tries) == 3)
            assert tries[2] - tries[0] > 0.1, "each try is a pause after the one before"
        poller.shut_down()


def test_admin_answers_while_accepting_is_paused(ambassador: Launch, serve: Serve) -> None:
    """With the cap reached, the admin server still says what the matter is."""
    admin = f"{LOCAL}:{free_port()}"
    running = ambassador(serve(echo).port, settings={"MAX_CONNECTIONS": "1", "ADMIN": admin})
    with running.connect(), running.connect():
        running.wait_for("accept.paused")
        with urllib.request.urlopen(f"http://{admin}/status", timeout=30) as answer:
            assert json.load(answer)["state"] == "serving"


def test_both_families_are_listened_on(ambassador: Launch, serve: Serve) -> None:
    """With no BIND a route is reached by IPv4 and by IPv6, and an IPv4 client is written as IPv4."""
    server = serve(echo)
    running = ambassador(server.port, settings={"BIND": ""})
    for host in (LOCAL, "::1"):
        with connect(running.port, host) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
    clients = sorted(line["client"].rpartition(":")[0] for line in running.closed(2))
    assert clients == [LOCAL, "[::1]"]


def test_several_addresses_are_listened_on(ambassador: Launch, serve: Serve) -> None:
    """Every address of BIND is listened on, and no other."""
    server = serve(echo)
    running = ambassador(server.port, settings={"BIND": "127.0.0.2,[::1]"})
    for host in ("127.0.0.2", "::1"):
        with connect(running.port, host) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(running.port, "127.0.0.3")


def test_a_restart_binds_while_old_connections_are_in_time_wait(ambassador: Launch, serve: Serve) -> None:
    """A second ambassador takes the port over at once, although the first one's connections were just closed."""
    server, port = serve(echo), free_port()
    links = {f"A_PORT_{port}_TCP": f"tcp://{LOCAL}:{server.port}"}
    for _ in range(2):
        running = ambassador(links=links)
        assert says_hello(port)
        assert running.stop() == 0


def test_accepted_sockets_have_what_the_listener_was_given() -> None:
    """TCP_NODELAY, SO_OOBINLINE and keepalive set on the listener hold for each client's socket."""
    with bind(Address(LOCAL, 0), keepalive=33) as listener, connect(listener.getsockname()[1]):
        client, _ = listener.accept()
        with client:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 33
    with bind(Address(LOCAL, 0), keepalive=0) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel knows no IPv6, every address means every IPv4 address."""

    class OnlyIPv4(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *arguments: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *arguments, **options)

    monkeypatch.setattr(socket, "socket", OnlyIPv4)
    with bind(Address("", free_port()), keepalive=0) as listener:
        assert listener.family == socket.AF_INET


@pytest.mark.parametrize("address", [Address("192.0.2.1", 80), Address("2001:db8::1", 80)])
def test_what_cannot_be_bound_is_a_start_error_that_names_it(address: Address) -> None:
    """An address of another machine is named in the error, and no socket is left open."""
    with pytest.raises(StartError, match=str(address).replace("[", r"\[").replace("]", r"\]")):
        bind(address, keepalive=60)


def test_newcomers_are_ignored_and_those_who_are_here_are_not() -> None:
    """Once newcomers are ignored nobody gets into the queue any more, and whoever is in it is accepted and heard."""
    with bind(Address(LOCAL, 0), keepalive=0) as server:
        port = server.getsockname()[1]
        with connect(port) as early:
            ignore_newcomers(server)
            with pytest.raises(TimeoutError):
                socket.create_connection((LOCAL, port), 0.2)
            accepted, _ = server.accept()
            with accepted:
                early.sendall(b"heard")
                eventually(lambda: accepted.recv(5, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"heard")
            with pytest.raises(BlockingIOError):
                server.accept()
