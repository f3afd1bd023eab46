"""Start and stop what may stand between a client and a server."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[3]
# An interpreter on a loaded machine; it is waited for, not slept.
_START_PATIENCE = 20.0
_STOP_PATIENCE = 5.0


@dataclass(slots=True)
class Route:
    """A port to connect to, and the bound socket that does not listen yet behind it.

    Attributes:
        middle: a free port, for a pair of relays to meet at.
    """

    listen: int
    upstream: socket.socket
    middle: int = 0

    @property
    def upstream_port(self) -> int:
        """Return the port that a relay dials."""
        port: int = self.upstream.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Command:
    """One process to start."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


# What to start for some routes, a dial's most seconds, and a directory for files.
Commands = Callable[[Sequence[Route], int, Path], Sequence[Command]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of relay.

    Attributes:
        commands: the processes that it consists of.
        pair: consists of two, which meet at the routes' middle ports.
        ours: must not print a traceback, whatever is done to it.
        version: the program's version, or nothing where it is not installed.
    """

    name: str
    commands: Commands
    version: Callable[[], str]
    pair: bool = False
    ours: bool = False


def bound() -> socket.socket:
    """Bind a socket to a free port that stays ours; connecting to it is refused until it listens."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock


def direct_route() -> Route:
    """Return a route with nothing in between."""
    upstream = bound()
    return Route(upstream.getsockname()[1], upstream)


@contextlib.contextmanager
def running(subject: Subject, count: int, *, dial_seconds: int) -> Iterator[list[Route]]:
    """Start *subject* with *count* routes, each for one scenario, and stop it afterwards."""
    # A port that is bound, but not listening, with SO_REUSEADDR on both sides: nobody else gets it, the relay does.
    held = [bound() for _ in range(2 * count)]
    ports = [sock.getsockname()[1] for sock in held]
    routes = [Route(listen, bound(), middle) for listen, middle in zip(ports[:count], ports[count:], strict=True)]
    with tempfile.TemporaryDirectory(prefix="fidelity-") as folder, contextlib.ExitStack() as stack:
        for sock in (*held, *(route.upstream for route in routes)):
            stack.callback(sock.close)
        log = stack.enter_context(Path(folder, "log").open("w+"))
        processes = []
        for command in subject.commands(routes, dial_seconds, Path(folder)):
            process = _start(command, log.fileno())
            stack.callback(_stop, process)
            processes.append(process)
        listening = {port for route in routes for port in (route.listen, *((route.middle,) if subject.pair else ()))}
        _await_listeners(listening, processes, Path(folder, "log"))
        yield routes
        text = Path(folder, "log").read_text(errors="replace")
        if subject.ours and "Traceback" in text:
            raise RuntimeError(f"{subject.name} failed inside:\n{text[text.index('Traceback') :][:4000]}")


def _start(command: Command, log: int) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **command.environment}
    # A session of its own: socat's children are stopped with it.
    return subprocess.Popen(
        command.arguments,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_listeners(ports: set[int], processes: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + _START_PATIENCE
    while not ports <= _listening():
        if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
            raise RuntimeError(f"the relay did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


def _listening() -> set[int]:
    """Return the ports that somebody listens on, without touching them (proc_net_tcp, state 0A is LISTEN)."""
    tables = [Path("/proc/net", name).read_text() for name in ("tcp", "tcp6") if Path("/proc/net", name).exists()]
    return {int(port, 16) for table in tables for port in re.findall(r": [0-9A-F]+:([0-9A-F]{4}) \S+ 0A ", table)}
