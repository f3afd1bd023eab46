"""Every ending has its `end` in the access log, exactly one, and the client sees what that end says."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.net import (
    LOCAL,
    black_hole,
    connect,
    final_error,
    free_port,
    perhaps_reset,
    read_to_end,
    reset,
    turned_away,
)
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

QUICK = {"CONNECT_TIMEOUT": "300ms"}


def test_an_orderly_connection_is_accounted_for_in_full(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """The one line of an orderly connection names both ends, its bytes each way, and `closed`."""
    server = serve(echo)
    running = ambassador(server.port, loop=loop_name)

    with running.connect() as client:
        client.sendall(b"x" * 1000)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"x" * 1000
        address = "{}:{}".format(*client.getsockname())

    (line,) = running.closed()
    assert running.stop() == 0
    assert len(running.named("connection.closed")) == 1
    assert (line["end"], line["bytes_up"], line["bytes_down"]) == ("closed", 1000, 1000)
    assert (line["route"], line["client"]) == (f"up:{running.port}", address)
    assert line["upstream"] == f"{LOCAL}:{server.port}"
    assert 0 < line["connect_ms"] <= line["seconds"] * 1000 + 1
    assert line["id"] >= 1
    assert "error" not in line


def test_a_client_that_resets_ends_client_reset(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A client's reset reaches the upstream as a reset, and is logged as the client's."""
    server = serve()
    running = ambassador(server.port, loop=loop_name)

    client = running.connect()
    upstream = server.client()
    client.sendall(b"before")
    assert upstream.recv(6) == b"before"
    reset(client)

    assert final_error(upstream) is ConnectionResetError
    (line,) = running.closed()
    assert (line["end"], line["bytes_up"]) == ("client_reset", 6)


def test_an_upstream_that_resets_ends_upstream_reset(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """An upstream's reset reaches the client as a reset after its last byte, and is logged as the upstream's."""
    server = serve()
    running = ambassador(server.port, loop=loop_name)

    with running.connect() as client:
        upstream = server.client()
        upstream.sendall(b"before")
        assert client.recv(6) == b"before"
        reset(upstream)
        assert final_error(client) is ConnectionResetError

    (line,) = running.closed()
    assert (line["end"], line["bytes_down"]) == ("upstream_reset", 6)


def test_a_client_gone_while_dialling_ends_client_gone(ambassador: Launch, loop_name: str) -> None:
    """A client that resets during the dial ends it at once, long before the dial's own deadline."""
    with black_hole() as port:
        running = ambassador(port, loop=loop_name, settings={"CONNECT_TIMEOUT": "1h"})
        reset(running.connect())
        (line,) = running.closed()

    assert (line["end"], line["connect_ms"], line["upstream"]) == ("client_gone", None, "")


def test_a_refused_dial_ends_connect_refused(ambassador: Launch, loop_name: str) -> None:
    """A client of an upstream that refuses is reset, never given an orderly empty stream."""
    port = free_port()
    running = ambassador(port, loop=loop_name, settings=QUICK)
    with running.connect() as client:
        assert final_error(client) is ConnectionResetError
    (line,) = running.closed()
    assert line["end"] == "connect_refused"
    assert f"{LOCAL}:{port}" in line["error"]


def test_a_black_hole_ends_connect_timeout(ambassador: Launch, loop_name: str) -> None:
    """A dial that nobody answers ends with its deadline."""
    with black_hole() as port:
        running = ambassador(port, loop=loop_name, settings=QUICK)
        with running.connect() as client:
            assert final_error(client) is ConnectionResetError
        (line,) = running.closed()
    assert line["end"] == "connect_timeout"


def test_an_unknown_name_ends_connect_unresolved(ambassador: Launch, loop_name: str) -> None:
    """A name that does not resolve does not stop the start; its client is reset and the name is in the log."""
    running = ambassador("tcp://nowhere.invalid:80", loop=loop_name, settings=QUICK)
    with running.connect() as client:
        assert final_error(client) is ConnectionResetError
    (line,) = running.closed()
    assert line["end"] == "connect_unresolved"
    assert "nowhere.invalid" in line["error"]


UNREACHABLE = """
import errno, socket
from ambassador.net import sockets
from tests.support.prelude import altered, replace
class Unreachable(socket.SocketType):
    def connect_ex(self, address):
        return errno.{error}
replace(sockets, "socket", altered(socket, SocketType=Unreachable))
"""


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ("ENETUNREACH", "connect_unreachable"),
        ("EHOSTUNREACH", "connect_unreachable"),
        ("EACCES", "connect_failed"),
        ("EADDRNOTAVAIL", "connect_failed"),
    ],
)
def test_what_the_kernel_refuses_is_named(ambassador: Launch, error: str, end: str) -> None:
    """A dial that the kernel refuses to begin ends with the name of what is wrong, and its text in `error`."""
    running = ambassador(9, settings=QUICK, prelude=UNREACHABLE.format(error=error))
    with perhaps_reset(), running.connect() as client:  # the reset may come before connect() has returned
        assert final_error(client) is ConnectionResetError
    (line,) = running.closed()
    assert line["end"] == end
    assert line["error"].startswith(f"{LOCAL}:9: ")


def test_a_dial_to_itself_ends_connect_failed(ambassador: Launch) -> None:
    """A route whose upstream is a listener of this very process is refused, and that is logged once."""
    port = free_port()
    running = ambassador(links={f"LOOP_PORT_{port}_TCP": f"tcp://{LOCAL}:{port}"})
    for _ in range(3):
        with perhaps_reset(), connect(port) as client:  # the reset may come before connect() has returned
            assert final_error(client) is ConnectionResetError
    lines = running.closed(3)
    assert {line["end"] for line in lines} == {"connect_failed"}
    assert len(running.named("route.dials_itself")) == 1


def test_connections_cut_by_the_drain_end_drained(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """What the drain's deadline cuts is reset at both ends, logged `drained`, and makes the exit code 1."""
    server = serve()
    running = ambassador(server.port, loop=loop_name, settings={"DRAIN_TIMEOUT": "100ms"})
    with running.connect() as client:
        upstream = server.client()
        running.signal(signal.SIGTERM)
        assert final_error(client) is ConnectionResetError
        assert final_error(upstream) is ConnectionResetError
    assert running.exit_code() == 1
    assert [line["end"] for line in running.named("connection.closed")] == ["drained"]


def test_the_access_log_can_be_off(ambassador: Launch, serve: Serve) -> None:
    """Without the access log no connection leaves a line."""
    running = ambassador(serve(echo).port, settings={"ACCESS_LOG": "off"})
    with running.connect() as client:
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert running.stop() == 0
    assert not running.named("connection.closed")


def test_every_connection_has_its_number(ambassador: Launch, serve: Serve) -> None:
    """No two lines of the access log share an id."""
    running = ambassador(serve(hold).port)
    for _ in range(20):
        with running.connect() as client:
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
    lines = running.closed(20)
    assert len({line["id"] for line in lines}) == 20
    eventually(lambda: len(running.named("connection.closed")) == 20)


def test_a_client_half_closed_while_dialling_is_served(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A request and its end of stream that come during the dial reach the upstream once it is there."""
    server = serve(echo, listening=False)
    running = ambassador(server.port, loop=loop_name)
    with running.connect() as client:
        client.sendall(b"early")
        client.shutdown(socket.SHUT_WR)
        running.wait_for("route.upstream_down")
        server.start()
        assert read_to_end(client) == b"early"
    assert running.closed()[0]["end"] == "closed"


@pytest.mark.parametrize("header", [b"", b"PROXY UNKNOWN\r\n"])
def test_a_client_half_closed_before_an_absent_upstream_has_two_seconds(ambassador: Launch, header: bytes) -> None:
    """Whoever has ended its stream while nobody answers is reset long before the timeout, as one that has left."""
    settings = {"CONNECT_TIMEOUT": "10m"} | ({"PROXY_PROTOCOL_FROM": "127.0.0.0/8"} if header else {})
    running = ambassador(free_port(), settings=settings)
    with running.connect() as client:
        client.sendall(header + b"x")
        client.shutdown(socket.SHUT_WR)
        assert final_error(client) is ConnectionResetError
    (line,) = running.closed()
    assert line["end"] == "connect_refused"


def test_a_foreign_client_ends_not_allowed(ambassador: Launch, serve: Serve) -> None:
    """A client outside AMBASSADOR_ALLOW is closed at once, is accounted for, and its upstream never hears of it."""
    server = serve(echo)
    running = ambassador(server.port, settings={"ALLOW": "10.0.0.0/8"})
    assert turned_away(running.port)
    (line,) = running.closed()
    assert (line["end"], line["upstream"]) == ("not_allowed", "")
    assert not server.accepted


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b""], ids=["no header", "nothing at all"])
def test_a_required_header_that_does_not_come_ends_bad_proxy_header(
    ambassador: Launch, serve: Serve, sent: bytes
) -> None:
    """Where a PROXY header is required, a client without one is reset, and nothing is dialled for it."""
    server = serve(echo)
    running = ambassador(server.port, settings={"PROXY_PROTOCOL_FROM": "127.0.0.0/8", "CONNECT_TIMEOUT": "300ms"})
    with running.connect() as client:
        client.sendall(sent)
        assert final_error(client) is ConnectionResetError
    (line,) = running.closed()
    assert line["end"] == "bad_proxy_header"
    assert not server.accepted


@pytest.mark.parametrize("header", ["off", "v1", "v2"])
def test_an_upstream_that_resets_at_once_is_never_an_orderly_end(ambassador: Launch, header: str) -> None:
    """Whatever is sent to an upstream first, its reset right after accepting reaches each of many clients as one."""
    with socket.create_server((LOCAL, 0), backlog=1024) as server:

        def reset_all() -> None:
            with contextlib.suppress(OSError):
                while True:
                    reset(server.accept()[0])

        thread = threading.Thread(target=reset_all, daemon=True)
        thread.start()
        running = ambassador(server.getsockname()[1], settings={"PROXY_PROTOCOL": header})
        for _ in range(200):
            with perhaps_reset(), running.connect() as client:  # the reset may come before connect() has returned
                assert final_error(client) is ConnectionResetError
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert {line["end"] for line in running.closed(200)} == {"upstream_reset"}
