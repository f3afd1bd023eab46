"""Look at files without waiting for ever, as a file system that is gone (NFS, FUSE) would have it.

A system call that hangs cannot be called back. So each look is made in a thread of its own, which is left behind if it
is late, or, where no thread can be had, by a process, which is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from ambassador.config import files
from ambassador.config.files import Look, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    # A path, and whether its real folder is looked at, too.
    Asked = tuple[str, bool]
    _Wait = Callable[[float], Look | None]

# In seconds, for all files together. Servers of files that are well answer within milliseconds, and a mount on demand
# within two or three seconds; together with the pause between two looks it is within the ten of the contract.
LONGEST = 5.0
_KILLED = 0.5


def look_in_time(asked: Iterable[Asked], *, seconds: float = LONGEST) -> list[Look]:
    """Look at all of these files at once; what there is no answer from within *seconds* is `late`."""
    waits = [(path, _begin(path, in_folder=in_folder)) for path, in_folder in asked]
    end = time.monotonic() + seconds
    return [wait(end) or late(path, seconds) for path, wait in waits]


def late(path: str, seconds: float = LONGEST) -> Look:
    """Return what is known of a file that did not answer."""
    found = Look(path)
    found.wrong = f"its file system has not answered within {seconds:g} s"
    found.late = True
    return found


def start_process(asked: Sequence[Asked]) -> subprocess.Popen[bytes]:
    """Start a process that writes what `answers` reads. `end_process` ends it.

    A program of its own rather than a fork: while it hangs it holds none of this process's connections.

    Raises:
        OSError: there is no room for another process.
    """
    process = subprocess.Popen(  # noqa: S603 - this interpreter, with a file of this package
        [sys.executable, "-I", "-S", files.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Signals of a terminal are not for it. It also makes Python fork, as `upstream.helper` has it.
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - as it was started
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(asked).encode() + b"\n")  # by which no pipe is full: paths are short
    return process


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and wait for its end, but for no longer than one takes that does not hang in the kernel."""
    process.kill()
    assert process.stdout is not None  # noqa: S101 - as it was started
    process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED)


def answers(lines: bytes) -> list[Look]:
    """Read what a process has written so far."""
    looks = []
    for line in lines.splitlines(keepends=True):
        if line.endswith(b"\n"):
            found = Look("")
            found.__dict__.update(json.loads(line))
            found.content = str(found.content).encode("latin-1")
            looks.append(found)
    return looks


def _begin(path: str, *, in_folder: bool) -> _Wait:
    """Begin to look at one file; return what waits for the answer, until a time of the monotonic clock."""
    found: list[Look] = []

    def work() -> None:
        found.append(look(path, in_folder=in_folder))

    thread = threading.Thread(target=work, name="look", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return _begin_process(path, in_folder=in_folder)

    def wait(end: float) -> Look | None:
        thread.join(max(0.0, end - time.monotonic()))
        return found[0] if found else None

    return wait


def _begin_process(path: str, *, in_folder: bool) -> _Wait:
    """Do as `_begin`, where no thread can be had. Where no process can be had either the answer is waited for."""
    try:
        process = start_process([(path, in_folder)])
    except OSError:
        return lambda _end: look(path, in_folder=in_folder)
    assert process.stdout is not None  # noqa: S101 - as it was started
    stdout = process.stdout

    def wait(end: float) -> Look | None:
        lines = b""
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        try:
            while not lines.endswith(b"\n") and poll.poll(max(0.0, end - time.monotonic()) * 1000):
                part = os.read(stdout.fileno(), files.LARGEST)
                if not part:
                    break
                lines += part
        finally:
            end_process(process)
        found = answers(lines)
        return found[0] if found else None

    return wait
