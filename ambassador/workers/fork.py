"""Fork a worker that shares nothing with its parent but the listening sockets, a channel and memory."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import traceback
from typing import TYPE_CHECKING

import structlog

from ambassador.errors import described
from ambassador.workers import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ambassador.log import Output

log = structlog.get_logger()

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def open_descriptors() -> set[int]:
    """Return the file descriptors of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found.add(int(name))
    return found


def fork(serve: Callable[[socket.socket], int], output: Output, *, keep: Collection[int]) -> tuple[int, socket.socket]:
    """Start a process that calls *serve* with its end of a channel; return its id and the other end.

    Call it where no event loop runs and no second thread: the child keeps the descriptors in *keep*, and nothing else.
    Never returns in the child.

    Raises:
        OSError: there is no room for another process.
    """
    ours, theirs = socket.socketpair()
    output.flush()
    # A signal must not reach the child while it has its parent's handlers, which would tell the parent of it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _begin(lambda: serve(theirs), output, keep={*keep, theirs.fileno()}, mask=mask)
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
    return pid, ours


def _begin(serve: Callable[[], int], output: Output, *, keep: Collection[int], mask: Collection[int]) -> None:
    """Leave the parent's things alone, serve, and end without any of the parent's farewells."""
    code = worker.CANNOT_SERVE
    try:
        output.share()
        gc.freeze()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # A terminal sends these to parent and workers alike, and the parent passes on what they mean.
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _close_others(keep)
        code = serve()
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        told = "".join(traceback.format_exception(error))
        log.error("worker.failed", error=described(error), traceback=told)  # noqa: TRY400 - as a field
    finally:
        output.flush()
        os._exit(code)


def _close_others(keep: Collection[int]) -> None:
    """Put nothing in the slot of every descriptor that is not ours.

    Closing them would let their numbers be used again, and an object of the parent that is still around here would
    one day close the wrong file. The parent's own are not touched: descriptors are copies, what they name is closed
    when the last copy is.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in open_descriptors() - {*keep, nothing}:
        os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)
