"""Real Redis behind the relays, and its own benchmark before them."""

from __future__ import annotations

import contextlib
import csv
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.loads import TIMEOUT, last_line
from bench.ports import LOOPBACK, free_port, wait_for_listener

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUE_BYTES = 64  # a counter, a session identifier, a small cached object
OPTIONS = (
    "--save",
    "",
    "--appendonly",
    "no",
    "--maxclients",
    "16000",
    "--tcp-backlog",
    "4096",
    "--loglevel",
    "warning",
)


def missing() -> str | None:
    """Say what keeps Redis loads from running here."""
    programs = ("redis-server", "redis-benchmark")
    return next((f"{program} is not installed" for program in programs if not shutil.which(program)), None)


@contextlib.contextmanager
def redis() -> Iterator[int]:
    """Run a Redis server that holds nothing on disk; the value is its port."""
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", LOOPBACK, *OPTIONS]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            wait_for_listener(port, process)
            benchmark(port, Work(1, test="set"), 1)
            yield port
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Work:
    """What redis-benchmark does; a request is one command and its answer."""

    clients: int
    test: str = "get"
    size: int = VALUE_BYTES
    pipeline: int = 1
    reconnect: bool = False


def benchmark(port: int, work: Work, requests: int) -> dict[str, float]:
    """Run redis-benchmark on *port*; return its columns by its own names.

    Raises:
        RuntimeError: it failed; the message has its last words.
        subprocess.TimeoutExpired: it spins, as it does for ever when a connection of it breaks.
    """
    options = {
        "-h": LOOPBACK,
        "-p": port,
        "-t": work.test,
        "-c": work.clients,
        "-n": requests,
        "-d": work.size,
        "-P": work.pipeline,
        "-k": int(not work.reconnect),
    }
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        ["redis-benchmark", "--csv", *words], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode or "rror" in done.stderr:
        raise RuntimeError(f"redis-benchmark: {last_line(done.stderr or done.stdout)}")
    return columns(done.stdout)


def columns(text: str) -> dict[str, float]:
    """Read the one row of CSV that redis-benchmark prints, without the test's name."""
    row = next(csv.DictReader(text.splitlines()))
    return {key: float(value) for key, value in row.items() if key != "test"}
