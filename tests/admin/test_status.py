"""`ambassador status`, and what `check --dial` adds to `check`."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.status import _age, _size
from tests.support.deadline import eventually
from tests.support.net import LOCAL, black_hole, exactly, free_port
from tests.support.process import ROOT, command, environment
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.admin.conftest import Watch
    from tests.conftest import Serve


def test_the_table_shows_routes_and_connections_in_eighty_columns(watch: Watch, serve: Serve) -> None:
    """`status` names each route, its endpoint and each live connection, on lines of at most 80 columns."""
    server = serve(echo)
    admin = watch(server.port, f"tcp://a-rather-long-name-of-a-host.somewhere.example.invalid:{free_port()}")
    with admin.ambassador.connect() as client, admin.ambassador.connect(1):
        client.sendall(b"x" * 12345)
        exactly(client, 12345)
        eventually(lambda: admin.route(1)["endpoints"][0]["up"] is False)
        code, table, errors = command("status", env={"AMBASSADOR_ADMIN": f"{LOCAL}:{admin.port}"})

        assert (code, errors) == (0, "")
        lines = table.splitlines()
        assert max(map(len, lines)) == 80  # the long name fills its line
        assert f"to {LOCAL}:{server.port}  up for" in table
        assert "DOWN for" in table
        (row,) = (line for line in lines if f"{LOCAL}:{client.getsockname()[1]}" in line)
        assert row.split()[-6:] == [*row.split()[-6:-5], "12.3", "kB", "12.3", "kB", "relaying"]


def test_nobody_to_ask_is_said_in_one_line() -> None:
    """Without an ambassador, and with its admin server off, `status` ends with 1 and says why."""
    port = free_port()
    assert command("status", env={"AMBASSADOR_ADMIN": f"{LOCAL}:{port}"})[::2] == (
        1, f"no answer from {LOCAL}:{port}: [Errno 111] Connection refused\n",
    )  # fmt: skip
    assert command("status", env={"AMBASSADOR_ADMIN": "off"})[0] == 1


def test_watching_looks_again_and_fits_the_terminal(watch: Watch, serve: Serve) -> None:
    """`status --watch` draws the table again and again, no longer than the terminal is high."""
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
    process.kill()
    process.wait()
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
