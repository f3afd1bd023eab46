"""Start a relay's processes for one measurement and end them."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.loads import last_line
from bench.ports import wait_for_listener
from bench.usage import cpu_seconds, private_memory, resident_memory, settled_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STOP_TIMEOUT = 3.0  # a drain may wait for its clients; ours have all gone


@dataclass(frozen=True)
class Launch:
    """One process of a relay: its command, run in a folder of its own that holds *files*."""

    argv: tuple[str, ...]
    port: int  # what it listens on
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)  # files too, but never shown
    admin: str = ""  # where it answers requests for metrics
    pipe_log: bool = False  # standard error goes through a pipe that is read, as in a container

    def shown(self) -> str:
        """Write the command and its files as a reader would type them."""
        words = [f"{name}={value}" for name, value in self.env.items() if name != "PYTHONPATH"]
        lines = [shlex.join([*words, Path(self.argv[0]).name, *self.argv[1:]])]
        for name, text in self.files.items():
            lines += [f"# {name}", text.strip()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Subject:
    """A running relay: where its clients connect, and what it costs."""

    port: int
    pids: tuple[int, ...]
    admin: str = ""

    def cpu(self) -> float:
        """Read the CPU seconds up to now, once the relay rests."""
        return settled_cpu_seconds(self.pids)

    def cpu_now(self) -> float:
        """Read the CPU seconds up to now."""
        return cpu_seconds(self.pids)

    def private_memory(self) -> int:
        """Read the bytes of user memory that this relay alone holds."""
        return private_memory(self.pids)

    def resident_memory(self) -> int:
        """Read the bytes of resident memory."""
        return resident_memory(self.pids)


def start(launch: Launch, folder: Path, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    """Start one process in *folder*; *stack* ends it."""
    for name, content in {**{name: text.encode() for name, text in launch.files.items()}, **launch.secrets}.items():
        path = folder / name
        path.touch(mode=0o600)  # programs refuse keys that others may read
        path.write_bytes(content)
    log = stack.enter_context((folder / "stderr").open("wb"))
    argv, stderr = launch.argv, log.fileno()
    if launch.pipe_log:
        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        stack.callback(stop, reader)
        assert reader.stdin is not None
        stderr = stack.enter_context(reader.stdin).fileno()
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env={**os.environ, **launch.env},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=stderr,
        start_new_session=True,  # its children end with it
    )
    stack.callback(stop, process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End *process*, politely first, and everything it started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ready(launch: Launch, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until *launch*, running as *process*, listens.

    Raises:
        RuntimeError: it does not; the message has its last words, from its *folder*.
    """
    try:
        wait_for_listener(launch.port, process)
    except RuntimeError as error:
        words = last_line((folder / "stderr").read_text(errors="replace"))
        raise RuntimeError(f"{Path(launch.argv[0]).name} {error}: {words}") from None


@contextlib.contextmanager
def running(launches: Sequence[Launch], upstream: int, *, wait: bool = True) -> Iterator[Subject]:
    """Run *launches*, the last one being what clients connect to; with none, clients connect to *upstream* itself.

    Without *wait* the caller gets them before they listen.

    Raises:
        RuntimeError: one did not listen in time.
    """
    with contextlib.ExitStack() as stack:
        processes = []
        for launch in launches:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            processes.append(start(launch, folder, stack))
            if wait:
                ready(launch, processes[-1], folder)
        port = launches[-1].port if launches else upstream
        admin = launches[-1].admin if launches else ""
        yield Subject(port, tuple(process.pid for process in processes), admin)
