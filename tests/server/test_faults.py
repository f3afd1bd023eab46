"""Faults of the ambassador's own: each is told, ends what it concerns, and leaves nothing in the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.admin import Admin
from tests.support.net import LOCAL, final_error, free_port, reset
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

FAILING = """
from ambassador.relay.direction import Direction
from tests.support.prelude import replace
def broken(self):
    raise LookupError("broken on purpose")
replace(Direction, "pump", broken)
"""


def test_a_fault_of_ours_ends_failed(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """An error inside ends the one connection by a reset, is logged with its name, and no other connection knows."""
    server = serve()
    running = ambassador(server.port, loop=loop_name, prelude=FAILING, settings={"LOG_LEVEL": "debug"})
    with running.connect() as other, running.connect() as client:
        server.client(1)
        client.sendall(b"x")
        assert final_error(client) is ConnectionResetError
        (line,) = running.closed()
        assert (line["end"], line["error"]) == ("failed", "LookupError: broken on purpose")
        assert "LookupError" in running.wait_for("connection.failed")[0]["traceback"]
        assert running.named("connection.closed") == [line]
        reset(other)
    running.closed(2)


# The first socket of a client cannot be registered: what a user's limit of epoll watches does (epoll(7)).
UNREGISTERED = """
import errno
from ambassador.server.connection import Connection
from ambassador.net.poller import Poller
from tests.support.prelude import replace
failed, watching = [], Connection._while_dialling
def fail_once(self, sock, handler):
    if getattr(handler, "__func__", None) is watching and not failed:
        failed.append(sock)
        raise OSError(errno.ENOSPC, "No space left on device")
    register(self, sock, handler)
register = replace(Poller, "register", fail_once)
"""
# A fault that nobody expects, outside any connection.
UNEXPECTED = """
from ambassador.server.connections import Connections
from tests.support.prelude import replace
sweeps = []
def sweep(self, now):
    sweeps.append(now)
    if len(sweeps) == 2:
        raise ValueError("unexpected")
replace(Connections, "sweep", sweep)
"""


def test_a_client_whose_start_fails_ends_failed(ambassador: Launch, serve: Serve) -> None:
    """A fault before the dial resets that client, is told with its traceback at debug, and leaves the others alone."""
    server = serve(echo)
    running = ambassador(server.port, settings={"LOG_LEVEL": "debug"}, prelude=UNREGISTERED)
    with pytest.raises(ConnectionResetError), running.connect() as client:  # soon enough to be the answer to connect
        client.recv(1)
    with running.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    first, second = running.closed(2)
    assert (first["end"], first["error"]) == ("failed", "OSError: [Errno 28] No space left on device")
    assert second["end"] == "closed"
    assert "in fail_once" in running.wait_for("connection.failed", id=first["id"])[0]["traceback"]
    assert running.stop() == 0
    assert running.lines == []


def test_a_fault_that_nobody_expects_is_an_event(ambassador: Launch, serve: Serve) -> None:
    """What nobody catches is one event, its traceback another at debug, and no line of another form."""
    running = ambassador(serve(echo).port, settings={"LOG_LEVEL": "debug"}, prelude=UNEXPECTED)
    error, debug = running.wait_for("ambassador.fault", 2)[:2]
    assert error["error"] == "ValueError: unexpected"
    assert "in sweep" in debug["traceback"]
    running.stop()
    assert running.lines == []


# Counting fails at one ending, as at one that nobody has registered.
UNCOUNTED = """
from ambassador.metrics import RouteCounters
from tests.support.prelude import replace
def forgetful(self):
    init(self)
    del self.ends[{end!r}]
init = replace(RouteCounters, "__init__", forgetful)
"""
# Writing a line of the access log fails, after the connection was counted.
UNWRITTEN = """
import dataclasses
from ambassador.server.wiring import Wiring
from tests.support.prelude import replace
def broken(event, **fields):
    raise ValueError("unwritten")
def served(self, route):
    return dataclasses.replace(plain(self, route), access_log=broken)
plain = replace(Wiring, "served", served)
"""


@pytest.mark.parametrize("dialled", [True, False])
def test_an_ending_that_cannot_be_counted_is_told_and_counted_as_failed(
    ambassador: Launch,
    serve: Serve,
    dialled: bool,  # noqa: FBT001 - a case
) -> None:
    """Connections whose accounting fails leave a line each, count as `failed`, and hold up no drain."""
    end = "closed" if dialled else "connect_refused"
    server, port = serve(echo, listening=dialled), free_port()
    settings = {"ADMIN": f"{LOCAL}:{port}", "DRAIN_TIMEOUT": "1h", "CONNECT_TIMEOUT": "200ms", "LOG_LEVEL": "debug"}
    running = ambassador(server.port, prelude=UNCOUNTED.format(end=end), settings=settings)
    for _ in range(3):
        with running.connect() as client:
            if dialled:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            else:
                assert final_error(client) is ConnectionResetError

    lines = running.closed(3)
    assert {(line["end"], line["error"]) for line in lines} == {("failed", f"KeyError: <End.{end.upper()}: '{end}'>")}
    assert len(running.wait_for("connection.failed", 3)) == 3
    route = Admin(running, port).route()
    assert (route["active"], route["ends"]["failed"], end in route["ends"]) == (0, 3, False)
    assert Admin(running, port).json("/connections")["total"] == 0
    assert running.stop() == 0


def test_a_fault_after_the_end_is_told_and_leaves_no_ghost(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """A fault that comes when a connection was counted is an event of its own, and the connection is gone."""
    settings = {"DRAIN_TIMEOUT": "1h", "LOG_LEVEL": "debug"}
    running = ambassador(serve(echo).port, prelude=UNWRITTEN, loop=loop_name, settings=settings)
    with running.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    error, debug = running.wait_for("ambassador.fault", 2)[:2]
    assert error["error"] == "ValueError: unwritten"
    assert "in broken" in debug["traceback"]
    assert running.stop() == 0
    assert len(running.named("ambassador.fault")) == 2
