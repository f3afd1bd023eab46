"""Look at files without waiting for ever, as a file system that is gone (NFS, FUSE) would have it.

A system call that hangs cannot be called back, and a thread that is in one may keep its whole process from ending: once
a FUSE server has taken a request in hand, not even SIGKILL ends who waits for it. So each look is made by a child
process, which is killed, and left behind if need be.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

from ambassador.config.files import KILLED, Look, look, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # A path, and whether its real folder is looked at, too.
    Asked = tuple[str, bool]
    _Wait = Callable[[float], Look | None]

# In seconds, for all files together. Servers of files that are well answer within milliseconds, and a mount on demand
# within two or three seconds; together with the pause between two looks it is within the ten of the contract.
LONGEST = 5.0
_PART = 1 << 16
_TURN = 0.005


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


def answers(lines: bytes) -> list[Look]:
    """Read what `files.written` has written; an unfinished line is no answer."""
    looks = []
    for line in lines.splitlines(keepends=True):
        if line.endswith(b"\n"):
            found = Look("")
            vars(found).update(json.loads(line))
            found.content = str(found.content).encode("latin-1")
            looks.append(found)
    return looks


def _begin(path: str, *, in_folder: bool) -> _Wait:
    """Begin to look at one file; return what waits for the answer, until a time of the monotonic clock.

    A fork is for a process that has one thread only, as one has that starts; another has a thread look, and one that
    may have neither looks by itself, and waits.
    """
    with contextlib.suppress(OSError, RuntimeError):
        if threading.active_count() == 1:
            return _begin_process(path, in_folder=in_folder)
        return _begin_thread(path, in_folder=in_folder)
    return lambda _end: look(path, in_folder=in_folder)


def _begin_thread(path: str, *, in_folder: bool) -> _Wait:
    found: list[Look] = []
    thread = threading.Thread(target=lambda: found.append(look(path, in_folder=in_folder)), name="look", daemon=True)
    thread.start()

    def wait(end: float) -> Look | None:
        thread.join(max(0.0, end - time.monotonic()))
        return found[0] if found else None

    return wait


def _begin_process(path: str, *, in_folder: bool) -> _Wait:
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:  # pragma: no cover - what ends so is not measured
            _answer(path, in_folder, theirs)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return lambda end: _received(pid, ours, end)


def _answer(path: str, in_folder: bool, to: int) -> None:  # noqa: FBT001 - pragma: no cover - as above
    """Be the child: look, say what was found, and end. It may be left behind, so it keeps nothing of its parent's."""
    try:
        os.dup2(to, 0)
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))
        os.write(0, written(look(path, in_folder=in_folder)))
    finally:
        os._exit(0)


def _received(pid: int, pipe: int, end: float) -> Look | None:
    """Return the answer of a child, if it comes before *end*, and end the child."""
    lines = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    try:
        while not lines.endswith(b"\n") and poll.poll(max(0.0, end - time.monotonic()) * 1000):
            part = os.read(pipe, _PART)
            if not part:
                break
            lines += part
    finally:
        os.close(pipe)
        _end(pid)
    found = answers(lines)
    return found[0] if found else None


def _end(pid: int) -> None:
    """Kill a child, and wait for its end, but for no longer than one takes that does not hang in the kernel."""
    os.kill(pid, signal.SIGKILL)
    for _ in range(int(KILLED / _TURN)):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(_TURN)
