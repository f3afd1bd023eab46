"""`ambassador status`, and what `check --dial` adds to `check`."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.commands.status import _age, _size, lay_out, lay_out_connections
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, black_hole, exactly, free_port
from tests.support.process import ROOT, command, environment
from tests.support.reports import endpoint, route, status
from tests.support.servers import echo

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from ambassador.server.report import ConnectionReport
    from tests.conftest import Serve
    from tests.support.watch import Watch


def test_the_table_shows_routes_and_connections_in_eighty_columns(watch: Watch, serve: Serve) -> None:
    """`status` names each route, its endpoint and each live connection, on lines of at most 80 columns."""
    server = serve(echo)
    admin = watch(server.port)
    with admin.ambassador.connect() as client:
        client.sendall(b"x" * 12345)
        exactly(client, 12345)
        code, table, errors = command("status", env={"AMBASSADOR_ADMIN": f"{LOCAL}:{admin.port}"})

        assert (code, errors) == (0, "")
        lines = table.splitlines()
        assert max(map(len, lines)) <= 80
        assert re.search(rf"^  up for [0-9.]+s  {LOCAL}:{server.port}$", table, re.MULTILINE)
        (row,) = (line for line in lines if f"{LOCAL}:{client.getsockname()[1]}" in line)
        assert row.split()[-6:] == [*row.split()[-6:-5], "12.3", "kB", "12.3", "kB", "relaying"]


def test_what_matters_fits_into_eighty_columns() -> None:
    """Long names, addresses and numbers hide no rate, port, state or reason."""
    long = "a-rather-long-name-of-a-host.somewhere-in-a-cloud.example.invalid"
    down = endpoint(name=f"{long}:6379", up=False, error="no name server answers", early_resets=12)
    one = route(name="a-rather-long-alias-of-a-link:6379", endpoints=[down])
    told = status(one, up=[1e9], down=[2e9], workers=16, uptime=1e6, live=123_456, limit=1_000_000)
    entry: ConnectionReport = {
        "id": 123_456_789_012, "route": "a-rather-long-alias-of-a-link:6379", "bytes_up": 10**9, "bytes_down": 10**12,
        "client": "[2001:db8:1111:2222:3333:4444:5555:6666]:54321", "seconds": 9e6, "state": "half-closed",
        "upstream": f"{long}:6379",
    }  # fmt: skip

    whole, rates, _, _, row, state, reason = lay_out(told)
    (*_, connection) = lay_out_connections({"total": 1, "connections": [entry]})

    assert max(map(len, (whole, rates, row, state, reason, connection))) <= 80
    assert rates.endswith("up 1 GB/s, down 2 GB/s")
    assert row.split()[0].endswith("~:6379")
    assert state.startswith("  DOWN for 1.0s, 12 early resets  a-rather-long")
    assert state.endswith("~:6379")
    assert reason == "    no name server answers"
    assert "~:54321 " in connection
    assert "~:6379 " in connection
    assert connection.endswith(" half-closed")


def test_routes_in_trouble_are_shown_first_where_not_all_fit() -> None:
    """A table that is longer than the terminal is high says how many routes it leaves out, none of which is down."""
    broken = route(name="broken:1", endpoints=[endpoint(up=False, error="refused")])
    told = status(*(route(name=f"r{number}:1") for number in range(9)), broken)

    lines = lay_out(told, rows=12)

    assert len(lines) <= 12
    assert lines[4].startswith("broken:1")
    assert lines[-1] == "... and 7 more routes"
    assert len(lay_out(told, rows=25)) == 25
    assert lay_out(told, rows=25) == lay_out(told)


def test_whoever_stops_reading_is_no_fault_of_the_ambassador(watch: Watch) -> None:
    """A reader that has seen enough ends `status`, once or watching, without a word."""
    admin = watch(free_port())
    for options in ((), ("--watch",)):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "ambassador", "status", *options],
            env=environment({"AMBASSADOR_ADMIN": f"{LOCAL}:{admin.port}"}),
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        os.close(writing)
        assert done.stderr == ""


@pytest.mark.parametrize("body", ["{}", "[]", "7", '{"routes": []}', '{"rates": 1}'])
def test_another_server_is_not_taken_for_an_ambassador(serve: Serve, body: str) -> None:
    """What answers with JSON of another kind is said to be no ambassador, in one line."""

    def answer(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(f"HTTP/1.0 200 OK\r\n\r\n{body}".encode())

    admin = f"{LOCAL}:{serve(answer).port}"
    code, _, errors = command("status", env={"AMBASSADOR_ADMIN": admin})
    assert (code, errors) == (1, f"no ambassador at {admin}: unexpected answer\n")


def test_who_may_not_ask_is_told_the_answer(serve: Serve) -> None:
    """An answer other than 200 is told with its status and its text, in one line."""

    def answer(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b"HTTP/1.0 403 Forbidden\r\n\r\nnot from there\n")

    admin = f"{LOCAL}:{serve(answer).port}"
    code, _, errors = command("status", env={"AMBASSADOR_ADMIN": admin})
    expected = f"no answer from {admin}: expected status 200 for /status, received 403 not from there\n"
    assert (code, errors) == (1, expected)


def test_an_address_in_a_binary_file_is_said_in_one_line(tmp_path: Path) -> None:
    """A file that cannot hold an address is named as what is wrong."""
    (tmp_path / "admin").write_bytes(b"\xff\xfe\x00")
    code, _, errors = command("status", env={"AMBASSADOR_ADMIN_FILE": str(tmp_path / "admin")})
    assert (code, errors) == (1, "cannot read AMBASSADOR_ADMIN_FILE: not UTF-8 text\n")


def test_nobody_to_ask_is_said_in_one_line() -> None:
    """Without an ambassador, and with its admin server off, `status` ends with 1 and says why."""
    port = free_port()
    assert command("status", env={"AMBASSADOR_ADMIN": f"{LOCAL}:{port}"})[::2] == (
        1, f"no answer from {LOCAL}:{port}: [Errno 111] Connection refused\n",
    )  # fmt: skip
    assert command("status", env={"AMBASSADOR_ADMIN": "off"})[0] == 1


def test_watching_looks_again_and_fits_the_terminal(watch: Watch, serve: Serve) -> None:
    """`status --watch` draws the table again and again, no longer than the terminal is high, until Ctrl-C."""
    admin = watch(serve(echo).port)
    clients = [admin.ambassador.connect() for _ in range(60)]
    eventually(lambda: admin.json("/connections")["total"] == 60)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ambassador", "status", "--watch"],
        env=environment({"AMBASSADOR_ADMIN": f"{LOCAL}:{admin.port}", "COLUMNS": "80", "LINES": "24"}),
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""

    def two_tables() -> bool:
        nonlocal seen
        if select.select([ours], [], [], 0)[0]:
            seen += os.read(ours, 65536)
        return seen.count(b"\x1b[H") >= 2

    eventually(two_tables)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    first = seen.split(b"\x1b[H")[1].decode().replace("\x1b[K", "")
    lines = first.splitlines()
    assert len(lines) <= 24
    assert lines[-2].startswith("   ... and ")
    assert [line for line in lines if line.endswith(" relaying")]
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (12345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_600, "1 MB"),
        (10**12, "1 TB"),
        (10**15, "1 PB"),
    ],
)
def test_sizes_are_short(count: int, text: str) -> None:
    """A number of bytes is written with three digits and its unit."""
    assert _size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (59.9, "59.9s"), (61, "1m01s"), (3700, "1h01m"), (90000, "1d01h"), (9e6, "104d04h")],
)
def test_ages_have_two_units(seconds: float, text: str) -> None:
    """A duration is written by its two largest units."""
    assert _age(seconds) == text


def test_check_dials_when_asked(serve: Serve) -> None:
    """`check --dial` says how long each upstream took, or why it was not reached, and then ends with 1."""
    server = serve(echo)
    up = {"UP_PORT_7001_TCP": f"tcp://{LOCAL}:{server.port}"}
    code, text, _ = command("check", "--dial", env=up)
    assert code == 0
    assert f"{LOCAL}:{server.port} connected in" in text
    assert "connected" not in command("check", env=up)[1]

    with black_hole() as hole:
        down = {"DOWN_PORT_7002_TCP": f"tcp://{LOCAL}:{free_port()}", "HOLE_PORT_7003_TCP": f"tcp://{LOCAL}:{hole}"}
        code, text, _ = command("check", "--dial", "--json", env={**up, **down})
    assert code == 1
    dialled = {route["route"]: route["upstream"][0]["dialled"][0] for route in json.loads(text)["routes"]}
    assert dialled["up:7001"]["connect_ms"] > 0
    assert dialled["down:7002"]["error"] == "Connection refused"
    assert dialled["hole:7003"]["error"] == "no answer in 3 s"
