"""`ambassador healthcheck`: cheap, one line, 0 or 1."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.commands.healthcheck import ask
from tests.support.cases import quick
from tests.support.deadline import eventually
from tests.support.net import LOCAL, free_port
from tests.support.process import ROOT, command, environment
from tests.support.servers import hold

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.conftest import Launch, Serve
    from tests.support.servers import Behaviour

PAGE = b"\r\nContent-Type: text/html\r\n\r\n<html>\n<body>\n"


def check(admin: str) -> tuple[int, str]:
    """Return the exit code and the one line of a health check."""
    code, out, err = command("healthcheck", env={"AMBASSADOR_ADMIN": admin})
    assert err == ""
    assert out.count("\n") == 1
    return code, out


def healthy(admin: str) -> bool:
    """Tell whether the command finds the ambassador ready."""
    return check(admin)[0] == 0


def answer(text: bytes) -> Behaviour:
    """Return what answers every client so, once it has asked."""

    def behave(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(text)

    return behave


def test_it_imports_next_to_nothing() -> None:
    """A health check loads neither pydantic nor uvloop nor aiohttp nor click nor asyncio."""
    code = (
        "import sys\nsys.argv = ['ambassador', 'healthcheck']\nfrom ambassador.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code)\nprint(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment({"AMBASSADOR_ADMIN": "off"}), cwd=ROOT, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    line, exit_code, modules = done.stdout.splitlines()
    assert (line, exit_code) == ("AMBASSADOR_ADMIN=off: there is nothing to ask", "0")
    assert not {"pydantic", "uvloop", "aiohttp", "click", "structlog", "asyncio", "http.client"} & set(modules.split())


def test_a_ready_ambassador_is_healthy_and_a_draining_one_is_not(ambassador: Launch, serve: Serve) -> None:
    """It answers 0 while the ambassador is ready, and 1 with the reason once it drains."""
    admin = f"{LOCAL}:{free_port()}"
    running = ambassador(serve().port, settings={"ADMIN": admin, "DRAIN_DELAY": "60s"})
    eventually(lambda: check(admin)[0] == 0, "healthy: its admin server may come behind its listeners")
    running.signal(signal.SIGTERM)
    running.wait_for("ambassador.draining")
    code, line = check(admin)
    assert code == 1
    assert "draining" in line


def test_an_absent_ambassador_is_not_healthy() -> None:
    """Nobody at the admin address is 1, and the line names the address."""
    admin = f"{LOCAL}:{free_port()}"
    code, line = check(admin)
    assert code == 1
    assert admin in line


def test_something_else_at_the_address_is_not_healthy(serve: Serve) -> None:
    """A server that speaks no HTTP is 1, without a traceback."""

    def mumble(client: socket.socket) -> None:
        client.recv(100)
        client.sendall(b"SSH-2.0-OpenSSH\r\n")

    code, line = check(f"{LOCAL}:{serve(mumble).port}")
    assert code == 1
    assert "expected an HTTP response, received 'SSH-2.0-OpenSSH" in line


@pytest.mark.parametrize("admin", ["nonsense", ":", "x:y", "127.0.0.1:99999999", "[::1"])
def test_an_address_that_is_none_is_not_healthy(admin: str) -> None:
    """An admin address that nobody can ask is 1 and one line, never a traceback."""
    code, line = check(admin)
    assert code == 1
    assert "invalid literal" not in line


def test_an_admin_address_on_every_address_is_asked_on_loopback(ambassador: Launch, serve: Serve) -> None:
    """`*:PORT` and `0.0.0.0:PORT` are asked at 127.0.0.1."""
    port = free_port()
    ambassador(serve().port, settings={"ADMIN": f"0.0.0.0:{port}"})
    for admin in (f"0.0.0.0:{port}", f"*:{port}"):
        eventually(functools.partial(healthy, admin), admin)


def test_an_admin_address_on_every_ipv6_address_is_asked_on_ipv4(serve: Serve) -> None:
    """`[::]:PORT`, which hears IPv4 as well, is asked there: not every machine has an ::1."""
    server = serve(answer(b"HTTP/1.0 200 OK\r\n\r\nready\n"))
    assert check(f"[::]:{server.port}") == (0, "ready\n")
    assert check(f"[0::0]:{server.port}") == (0, "ready\n")


def test_not_everything_that_answers_200_is_a_ready_ambassador(serve: Serve) -> None:
    """Another server at the address is 1, and its page is not the line."""
    code, line = check(f"{LOCAL}:{serve(answer(b'HTTP/1.0 200 OK' + PAGE)).port}")
    assert code == 1
    assert "no ambassador" in line
    assert check(f"{LOCAL}:{serve(answer(b'HTTP/1.0 404 Not Found' + PAGE)).port}") == (1, "<html>\n")


def test_an_answer_has_to_be_whole_in_time(serve: Serve) -> None:
    """The time is for all of an answer: neither silence nor a byte now and then makes it longer."""

    def drip(client: socket.socket) -> None:
        while True:
            client.sendall(b".")

    for behave in (hold, drip):
        with pytest.raises(TimeoutError):
            ask(f"{LOCAL}:{serve(behave).port}", "/readyz", timeout=0.2, largest=1 << 30)


@pytest.mark.parametrize("status", [200, 503])
def test_nothing_raw_of_a_hostile_answer_is_shown(serve: Serve, status: int) -> None:
    """Escape codes, control characters and marks of direction are escaped, and a long line is cut."""
    evil = f"HTTP/1.0 {status} OK\r\n\r\n\x1b[2J\x07\r\u202e\x9b{'x' * 10_000}\nmore"
    code, line = check(f"{LOCAL}:{serve(answer(evil.encode())).port}")
    assert code == 1
    assert line[:-1].isprintable()
    assert len(line) < 300
    assert status == 200 or line.startswith(r"\x1b[2J\x07\r\u202e\x9bxxx")


@pytest.mark.parametrize(
    "head", quick(2, ["HTTP/1.0 -20 OK", "HTTP/1.0 \x1b[2J", "HTTP/1.0 0200 OK", f"HTTP/1.0 {'2' * 5000}"])
)
def test_a_status_that_is_none_is_told(serve: Serve, head: str) -> None:
    """What has no status of three digits is no HTTP."""
    code, line = check(f"{LOCAL}:{serve(answer(f'{head}{chr(13)}{chr(10) * 2}ready'.encode())).port}")
    assert code == 1
    assert "expected an HTTP response" in line
    assert line[:-1].isprintable()


def test_an_answer_without_end_is_told(serve: Serve) -> None:
    """Heads and bodies that never end are 1 as soon as they are longer than ours would be, whatever the time."""

    def pour(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"HTTP/1.0 200 OK\r\n")
        while True:
            client.sendall(b"X: y\r\n" * 1000)

    code, line = check(f"{LOCAL}:{serve(pour).port}")
    assert code == 1
    assert "received more" in line
    with pytest.raises(ValueError, match="received more"):
        ask(f"{LOCAL}:{serve(pour).port}", "/readyz", timeout=3600.0)


def test_a_terminal_that_knows_few_characters_is_no_fault(serve: Serve) -> None:
    """A letter that standard output has no code for is escaped rather than an error."""
    server = serve(answer("HTTP/1.0 503 No\r\n\r\nnot ready: 漢字".encode()))
    env = {"AMBASSADOR_ADMIN": f"{LOCAL}:{server.port}", "PYTHONIOENCODING": "ascii"}
    assert command("healthcheck", env=env) == (1, "not ready: \\u6f22\\u5b57\n", "")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("binary", "not UTF-8 text"),
        ("pipe", "not a regular file"),
        ("folder", "not a regular file"),
        ("huge", "larger than 1 MiB"),
    ],
)
def test_a_file_that_holds_no_address_is_not_healthy(tmp_path: Path, what: str, why: str) -> None:
    """A file of bytes, a pipe that nobody writes to, and whatever else is no setting's file is 1 and one line."""
    path = tmp_path / "admin"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\xff" if what == "binary" else bytes(2 << 20))
    code, out, err = command("healthcheck", env={"AMBASSADOR_ADMIN_FILE": str(path)})
    assert (code, err) == (1, "")
    assert out == f"cannot read AMBASSADOR_ADMIN_FILE: {why}\n"


def test_the_address_can_be_in_a_file(tmp_path: Path) -> None:
    """AMBASSADOR_ADMIN_FILE is read as the other commands read it, and a missing file is 1."""
    path = tmp_path / "admin"
    path.write_text("off\n")
    for value in (str(path), f" {path}\t"):
        code, out, _ = command("healthcheck", env={"AMBASSADOR_ADMIN_FILE": value})
        assert (code, out) == (0, "AMBASSADOR_ADMIN=off: there is nothing to ask\n")
    code, out, _ = command("healthcheck", env={"AMBASSADOR_ADMIN_FILE": str(tmp_path / "none")})
    assert code == 1
    assert "No such file" in out
