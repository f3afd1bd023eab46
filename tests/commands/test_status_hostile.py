"""`status`, asked of a server that answers with whatever may harm."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from ambassador.commands.status import lay_out_connections
from tests.support.cases import quick
from tests.support.net import LOCAL
from tests.support.process import command
from tests.support.reports import endpoint, route, status

if TYPE_CHECKING:
    import socket

    from ambassador.admin.answers import ConnectionsReport
    from tests.conftest import Serve
    from tests.support.servers import Behaviour

EVIL = "\x1b[2J\x1b]0;title\x07\r\n\u202e\u2066\u2028\x9b"
HEAD = "HTTP/1.0 200 OK\r\n\r\n"
DEEP = 100_000


def answers(told: str, connections: str = '{"total": 0, "connections": []}') -> Behaviour:
    """Return what answers /status and /connections so, and says no more."""

    def behave(client: socket.socket) -> None:
        request = client.recv(4096)
        client.sendall(f"{HEAD}{told if b'/status' in request else connections}".encode("utf-8", "surrogatepass"))

    return behave


def ask(serve: Serve, behave: Behaviour) -> tuple[int, str, str]:
    """Return exit code, output and errors of `status`, in which nothing but line ends may be unprintable."""
    code, out, err = command("status", env={"AMBASSADOR_ADMIN": f"{LOCAL}:{serve(behave).port}"})
    assert out.replace("\n", "").isprintable(), ascii(out)
    assert err.replace("\n", "").isprintable(), ascii(err)
    assert "Traceback" not in err
    return code, out, err


def entry(**fields: Any) -> dict[str, Any]:
    """Return a live connection."""
    usual = {"id": 1, "route": "r:1", "client": "c:1", "upstream": "u:1", "seconds": 1.0, "bytes_up": 1}
    return {**usual, "bytes_down": 1, "state": "relaying", **fields}


def test_nothing_raw_is_shown(serve: Serve) -> None:
    """Escape codes, control characters and marks of direction in any field are escaped, and stay on their line."""
    down = endpoint(name=EVIL, up=False, error=EVIL)
    told: dict[str, Any] = {**status(route(name=EVIL, endpoints=[down])), "version": EVIL, "state": EVIL, "limit": EVIL}
    live = [entry(id=EVIL, client=EVIL, route=EVIL, state=EVIL)]
    code, out, _ = ask(serve, answers(json.dumps(told), json.dumps({"total": 1, "connections": live})))
    assert code == 0
    assert r"\x1b[2J" in out
    assert out.count("\n") == 10


def test_no_raw_reason_is_shown(serve: Serve) -> None:
    """The text of an answer other than 200 is one short line."""

    def refuse(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(f"HTTP/1.0 403 {EVIL}\r\n\r\nno {EVIL}{'x' * 10_000}\nmore".encode())

    code, out, err = ask(serve, refuse)
    assert (code, out) == (1, "")
    assert "received 403 no \\x1b" in err
    assert err.count("\n") == 1
    assert len(err) < 600


NO_JSON = ["[" * DEEP, '{"rates": NaN}', "", '{"a": ' * DEEP + "1" + "}" * DEEP, "1" * 5000, "\x00", '"\\']


@pytest.mark.parametrize("told", quick(3, NO_JSON), ids=itertools.count())
def test_json_that_is_none_is_told(serve: Serve, told: str) -> None:
    """What is too deep or no JSON ends with 1 and a line that says what was expected."""
    code, out, err = ask(serve, answers(told))
    assert (code, out) == (1, "")
    assert "expected JSON for /status, received something else" in err
    assert err.count("\n") == 1


NO_TABLE: list[dict[str, Any]] = [
    {"uptime": 1e308 * 10},
    {"rates": {"bytes_up": [10**400], "bytes_down": []}},
    {"live": [[[]]] * 100},
    {"routes": [{}] * 3},
    {"routes": {"a": 1}},
    {"workers": "many"},
    {"uptime": 10**400},
]


@pytest.mark.parametrize("fields", quick(2, NO_TABLE), ids=itertools.count())
def test_what_cannot_be_shown_is_told(serve: Serve, fields: dict[str, Any]) -> None:
    """JSON of which no table can be made ends in one line, and so does one of which a table can."""
    told = json.dumps({**status(), **fields}).replace("Infinity", "1e999")
    code, out, err = ask(serve, answers(told))
    assert (code == 0 and out.startswith("ambassador")) or (code == 1 and err.count("\n") == 1)


def test_a_number_without_end_widens_no_column() -> None:
    """A connection's number of a million digits does not make each row a million characters wide."""
    live = [entry(id="9" * 1_000_000), *(entry() for _ in range(100))]
    rows = list(lay_out_connections(cast("ConnectionsReport", {"total": 101, "connections": live})))
    assert len(rows) == 103
    assert sum(len(row) > 200 for row in rows) == 1


def test_no_more_is_read_than_an_ambassador_says(serve: Serve) -> None:
    """An answer without end, be it head or body, ends in a line as soon as it is longer than ours would be."""

    def pour(client: socket.socket, text: bytes) -> None:
        client.recv(4096)
        with contextlib.suppress(OSError):
            while True:
                client.sendall(text * 1000)

    for start in (HEAD.encode() + b"[", b"HTTP/1.0 200 OK\r\n"):

        def behave(client: socket.socket, start: bytes = start) -> None:
            client.sendall(start)
            pour(client, b"[]," if start.endswith(b"[") else b"X: y\r\n")

        code, out, err = ask(serve, behave)
        assert (code, out) == (1, "")
        assert "received more" in err
