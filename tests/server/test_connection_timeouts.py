"""Connections whose time is up."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.net import final_error
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve


def test_an_idle_connection_ends_idle_timeout(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A connection on which nothing moves is reset at both ends, and one that trickles is not."""
    server = serve()
    running = ambassador(server.port, loop=loop_name, settings={"IDLE_TIMEOUT": "1s"})
    with running.connect() as busy:
        upstream = server.client(0)
        with running.connect() as idle:
            while not running.named("connection.closed"):
                busy.sendall(b"x")
                assert upstream.recv(1) == b"x"
                time.sleep(0.01)
            assert final_error(idle) is ConnectionResetError
            assert final_error(server.client(1)) is ConnectionResetError
        (line,) = running.named("connection.closed")
        assert line["end"] == "idle_timeout"
        upstream.sendall(b"y")
        assert busy.recv(1) == b"y"


def test_a_half_closed_connection_ends_half_close_timeout(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """The timeout of a half-closed connection does not touch one that is wholly open and idle."""
    server = serve()
    running = ambassador(server.port, loop=loop_name, settings={"HALF_CLOSE_TIMEOUT": "200ms"})
    with running.connect() as whole:
        upstream = server.client(0)
        with running.connect() as half:
            half.shutdown(socket.SHUT_WR)
            assert final_error(half) is ConnectionResetError
        (line,) = running.closed()
        assert line["end"] == "half_close_timeout"
        upstream.sendall(b"y")
        assert whole.recv(1) == b"y"


def test_a_long_life_ends_max_lifetime(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A connection that has lived long enough is reset however busy it is."""
    server = serve(echo)
    running = ambassador(server.port, loop=loop_name, settings={"MAX_LIFETIME": "300ms"})
    with running.connect() as client, pytest.raises(ConnectionResetError):
        echo_for_ever(client)
    (line,) = running.closed()
    assert line["end"] == "max_lifetime"
    assert line["seconds"] >= 0.3


def echo_for_ever(client: socket.socket) -> None:
    """Talk until that fails."""
    while True:
        client.sendall(b"x")
        if client.recv(1) != b"x":
            raise AssertionError("an orderly end where a reset was due")
