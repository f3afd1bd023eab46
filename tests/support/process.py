"""An ambassador as a process of its own, as its users run it, and what it logs."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import prelude as preludes
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, connect, free_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
# What programs under test may import: this checkout, and not what only development needs.
IMPORTS = os.pathsep.join((str(Path(__file__).parent / "absent"), str(ROOT)))
ENTER = "from ambassador.__main__ import main\nmain()\n"
# A prelude: the name service never answers for silent.example.
HANGING_LOOKUP = """
import socket, threading
from tests.support.prelude import replace
def getaddrinfo(name, *arguments, **options):
    if name == "silent.example":
        threading.Event().wait()
    return plain(name, *arguments, **options)
plain = replace(socket, "getaddrinfo", getaddrinfo)
"""
# Set by coverage.py where it measures, and what has a process begin to measure itself.
_COVERAGE = "COVERAGE_PROCESS_CONFIG"
# How a process that is measured is ended: SIGKILL would lose what it has measured.
_ENDS = signal.SIGUSR2
_SAVING_END = f"import os, signal\nsignal.signal({_ENDS:d}, lambda *_: os._exit(0))\n"
_WITHOUT_UVLOOP = "import sys\nsys.modules['uvloop'] = None\n"
_TICKS = os.sysconf("SC_CLK_TCK")

Event = dict[str, Any]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return *variables* with what Python itself needs, and nothing else of this environment."""
    names = ("PATH", "HOME", "LANG", "TMPDIR", _COVERAGE)
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": IMPORTS, "PYTHONWARNINGS": "error", **variables}


class Ambassador:
    """A running `ambassador`, with one route from a free port of 127.0.0.1 to each upstream.

    Attributes:
        ports: where it listens, in the order of the upstreams.
        events: what it has logged so far.
        lines: what it wrote to standard error that is no event.
    """

    def __init__(
        self, upstreams: Sequence[str | int], settings: Mapping[str, str], *, loop: str, files: int | None,
        prelude: str, arguments: Sequence[str], links: Mapping[str, str], prefix: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.ports = [free_port() for _ in upstreams]
        self.events: list[Event] = []
        self.lines: list[str] = []
        variables = {"AMBASSADOR_BIND": LOCAL, "AMBASSADOR_ADMIN": "off", "AMBASSADOR_LOG_FORMAT": "json"}
        for port, upstream in zip(self.ports, upstreams, strict=True):
            target = f"tcp://{LOCAL}:{upstream}" if isinstance(upstream, int) else upstream
            variables[f"UP_PORT_{port}_TCP"] = target
        variables.update({f"AMBASSADOR_{name}": value for name, value in settings.items()})
        variables.update(links)
        limit = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n" if files else ""
        saving = _SAVING_END if _COVERAGE in os.environ else ""
        code = saving + limit + (_WITHOUT_UVLOOP if loop == "asyncio" else "") + preludes.guarded(prelude) + ENTER
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", code, *arguments],
            env=environment(variables),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def port(self) -> int:
        """The first port."""
        return self.ports[0]

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def connect(self, number: int = 0) -> socket.socket:
        """Connect to route *number*."""
        return connect(self.ports[number])

    def ready(self) -> None:
        """Wait until it serves."""
        self.wait_for("ambassador.ready")

    def named(self, event: str, **fields: object) -> list[Event]:
        """Return the events of this name that have these fields."""
        return [
            entry
            for entry in list(self.events)
            if entry["event"] == event and all(entry.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, event: str, count: int = 1, **fields: object) -> list[Event]:
        """Wait until at least *count* events of this name and with these fields were logged; return them."""

        def found() -> list[Event] | None:
            entries = self.named(event, **fields)
            if len(entries) < count:
                assert self.process.poll() is None or self._reader.is_alive(), f"it ended: {self.said()}"
                return None
            return entries

        try:
            return eventually(found, f"{count} times {event} {fields}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from error

    def closed(self, count: int = 1) -> list[Event]:
        """Wait for *count* lines of the access log; return all."""
        return self.wait_for("connection.closed", count)

    def said(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join([*(json.dumps(event) for event in self.events[-20:]), *self.lines[-40:]])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait until it has ended; return its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert code != preludes.FAILED, f"its prelude failed: {self.said()}"
        return code

    def stop(self) -> int:
        """Ask it to drain; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def descriptors(self) -> int:
        """Count its open files."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """Return its resident memory, in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def close(self) -> None:
        """End it however it is. What it wrote beside its events would be a traceback."""
        if _COVERAGE in os.environ:
            self._end_saving()
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _end_saving(self) -> None:
        """Have it save what it has measured, and end; its workers do as much when their parent is gone."""
        self.signal(_ENDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.events.append(json.loads(line))
                continue
            self.lines.append(line.rstrip("\n"))


def command(*arguments: str, env: Mapping[str, str] | None = None, patience: float = PATIENCE) -> tuple[int, str, str]:
    """Run `ambassador` with *arguments*; return its exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "ambassador", *arguments],
        check=False,
        env=environment(env or {}),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
    )
    return done.returncode, done.stdout, done.stderr
