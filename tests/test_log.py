"""Logging never blocks, never ends anything, and says when it had to drop lines."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ambassador import log
from ambassador.log import BUFFER_BYTES, Output
from tests.support.deadline import eventually, soon
from tests.support.net import LOCAL, connect, free_port, read_to_end
from tests.support.process import ROOT, command, environment
from tests.support.servers import echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Serve


@pytest.fixture(autouse=True)
def own_structlog() -> Iterator[None]:
    """Give the other tests their structlog back."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


def written(path: Path, *, json_lines: bool, level: str = "debug", **fields: Any) -> str:
    """Return the line that an event with *fields* becomes."""
    with path.open("wb") as file:
        log.configure(level=level, json_lines=json_lines, fd=file.fileno())
        structlog.get_logger().info("some.event", **fields)
    return path.read_text(encoding="utf-8")


def test_json_lines_have_time_level_and_event_first(tmp_path: Path) -> None:
    """A JSON line has the time in UTC, the level, the event and then the fields in their order."""
    line = written(tmp_path / "log", json_lines=True, route="redis:6379", count=3, nothing=None)
    entry = json.loads(line)
    assert list(entry) == ["timestamp", "level", "event", "route", "count", "nothing"]
    assert entry["timestamp"].endswith("Z")
    assert (entry["level"], entry["event"], entry["count"]) == ("info", "some.event", 3)


def test_console_lines_are_for_people(tmp_path: Path) -> None:
    """A console line has time, level, event, and fields as key=value with quotes only where they are needed."""
    line = written(tmp_path / "log", json_lines=False, route="redis:6379", seconds=1.5, said='a "b" c', flag=True)
    _, rest = line.split(" ", 1)
    assert rest == 'info    some.event route=redis:6379 seconds=1.5 said="a \\"b\\" c" flag=True\n'


@given(value=st.text() | st.binary() | st.floats() | st.none(), json_lines=st.booleans())
def test_an_event_is_one_line_whatever_is_in_it(value: object, *, json_lines: bool) -> None:
    """No value, be it of newlines, control characters or lone surrogates, breaks a line or the logger."""
    lines: list[bytes] = []
    out, into = os.pipe()
    try:
        log.configure(level="info", json_lines=json_lines, fd=into)
        structlog.get_logger().info("some.event", value=value)
        lines = os.read(out, 1 << 16).splitlines(keepends=True)
    finally:
        os.close(out)
        os.close(into)
    assert len(lines) == 1
    assert lines[0].endswith(b"\n")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_keeps_lesser_events_out(level: str, count: int, tmp_path: Path) -> None:
    """Each level lets itself and what is graver through."""
    with (tmp_path / "log").open("wb") as file:
        log.configure(level=level, json_lines=True, fd=file.fileno())
        logger = structlog.get_logger()
        logger.debug("a.a")
        logger.info("a.b")
        logger.warning("a.c")
        logger.error("a.d")
    assert len((tmp_path / "log").read_text().splitlines()) == count


async def test_lines_of_a_turn_are_written_together_and_in_order(pipe: tuple[int, int]) -> None:
    """On an event loop lines wait for a moment, then all of them come at once, in order."""
    out, into = pipe
    os.set_blocking(out, False)
    output = Output(into)
    output.attach(asyncio.get_running_loop())
    for number in range(100):
        output.line(str(number))
    with pytest.raises(BlockingIOError):
        os.read(out, 1)
    await soon(lambda: select.select([out], [], [], 0)[0])
    assert os.read(out, 1 << 16).decode().split() == [str(number) for number in range(100)]


async def test_a_pipe_that_nobody_reads_blocks_nothing_and_drops_are_told(pipe: tuple[int, int]) -> None:
    """With a full pipe lines are dropped and counted; once it is read again the count comes after what was kept."""
    out, into = pipe
    os.set_blocking(out, False)
    output = Output(into)
    output.attach(asyncio.get_running_loop())
    line = "x" * 999
    for _ in range(2000):
        output.line(line)
        await asyncio.sleep(0)
    assert output.dropped > 0
    kept = 2000 - output.dropped
    assert kept * 1000 <= (1 << 20) + BUFFER_BYTES
    said = b""

    def read() -> bool:
        nonlocal said
        try:
            said += os.read(out, 1 << 20)
        except BlockingIOError:
            return False
        return b"log.dropped" in said and said.endswith(b"\n")

    await soon(read)
    lines = said.decode().splitlines()
    assert lines == [line] * kept + [f"event=log.dropped lines={output.dropped}"]


def test_a_closed_standard_error_is_no_error(pipe: tuple[int, int]) -> None:
    """A descriptor that is not open takes every line nowhere, without an error."""
    _, into = pipe
    os.close(into)
    Output(into).line("x")


def test_a_pipe_stays_blocking_for_those_who_share_it(pipe: tuple[int, int]) -> None:
    """Standard error is not made non-blocking for the shell that it was inherited from."""
    _, into = pipe
    Output(into).line("x")
    assert os.get_blocking(into)


def start(port: int, upstream: int, stderr: int, *, access_log: str = "on") -> subprocess.Popen[bytes]:
    """Start an ambassador with a standard error of the test's."""
    return subprocess.Popen(
        [sys.executable, "-m", "ambassador"],
        env=environment(
            {
                f"A_PORT_{port}_TCP": f"tcp://{LOCAL}:{upstream}",
                "AMBASSADOR_BIND": LOCAL,
                "AMBASSADOR_ADMIN": "off",
                "AMBASSADOR_ACCESS_LOG": access_log,
                "AMBASSADOR_LOG_LEVEL": "debug",
            }
        ),
        cwd=ROOT,
        stderr=stderr,
    )


def reachable(port: int) -> bool:
    """Tell whether somebody listens on *port*."""
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_an_ambassador_whose_log_nobody_reads_goes_on(serve: Serve, pipe: tuple[int, int], kind: str) -> None:
    """With standard error full from the start, connections are served, and SIGTERM ends it with 0."""
    ours, theirs = socket.socketpair()
    into = pipe[1] if kind == "pipe" else ours.fileno()
    port, server = free_port(), serve(echo)
    fill(into)
    with ours, theirs, start(port, server.port, into) as process:
        try:
            eventually(lambda: reachable(port))
            for _ in range(300):
                with connect(port) as client:
                    client.sendall(b"hello")
                    client.shutdown(socket.SHUT_WR)
                    assert read_to_end(client) == b"hello"
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def fill(fd: int) -> None:
    """Write until nothing more is taken."""
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, bytes(4096))
    except BlockingIOError:
        os.set_blocking(fd, True)


def test_an_ambassador_with_a_closed_log_goes_on(serve: Serve, pipe: tuple[int, int]) -> None:
    """With nobody at the other end of standard error, connections are served, and SIGTERM ends it with 0."""
    out, into = pipe
    port, server = free_port(), serve(echo)
    with start(port, server.port, into) as process:
        try:
            os.close(out)
            eventually(lambda: reachable(port))
            for _ in range(20):
                with connect(port) as client:
                    client.shutdown(socket.SHUT_WR)
                    assert read_to_end(client) == b""
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_a_start_without_standard_streams_works(serve: Serve, redirection: str) -> None:
    """An ambassador whose standard streams are closed or full from the start serves, and ends with 0."""
    port, server = free_port(), serve(echo)
    with subprocess.Popen(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "ambassador"],
        env=environment(
            {
                f"A_PORT_{port}_TCP": f"tcp://{LOCAL}:{server.port}",
                "AMBASSADOR_BIND": LOCAL,
                "AMBASSADOR_ADMIN": "off",
            }
        ),
        cwd=ROOT,
    ) as process:
        try:
            eventually(lambda: reachable(port))
            with connect(port) as client:
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                assert read_to_end(client) == b"hello"
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_a_problem_told_to_a_closed_standard_error_is_still_exit_code_2() -> None:
    """Where nobody can read what is wrong, the exit code still says so."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "ambassador", "run", "nonsense"],
        env=environment({}),
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert done.returncode == command("run", "nonsense")[0] == 2
