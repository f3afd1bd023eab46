"""structlog, written so that logging never blocks and never ends a relay.

Lines gather in a bounded buffer for a moment and are written together, without blocking. Where standard error
takes no more, lines are dropped and counted; the count is reported as soon as lines can be written again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import socket
import stat
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

# How much may wait for standard error: a burst of a thousand lines or so.
BUFFER_BYTES = 256 * 1024
# Seconds for which lines are gathered: under load a write, and waking its reader, costs as much as making a line.
_GATHER = 0.01
# Seconds between attempts while standard error takes nothing.
_RETRY = 0.1
# pipe(7): a write of up to PIPE_BUF bytes to a pipe that poll() calls writable does not block.
_ATOMIC = 4096
# What a write returns if nothing can be written at all: standard error is closed, its reader gone, or its disk full.
_LOST = -1


class Output:
    """Write lines to a file descriptor that others share, without ever blocking on it. Does not close it.

    Lines wait in `_lines`, `_size` bytes in all. Where nothing more fits they are dropped, and reported once a line can
    be written again. `_torn` says that half a line was written last, whose rest is lost.

    Attributes:
        dropped: how many lines were dropped since the start.
        report: makes the line, with its end, that says how many lines were dropped.
    """

    def __init__(self, fd: int) -> None:
        self._write = _non_blocking(fd)
        self._lines: list[bytes] = []
        self._size = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        self._at_once = BUFFER_BYTES
        self.dropped = 0
        self._unreported = 0
        self._reported = 0
        self._report_line = b""
        self._torn = False
        self.report: Callable[[int], bytes] = _plain_report

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Gather lines and write them 10 ms later, on *loop*; without a loop each is written at once."""
        self._loop = loop
        self.flush()

    def share(self) -> None:
        """Continue in a forked process: leave the waiting lines to the parent, and never break a sibling's line.

        pipe(7): a write of up to PIPE_BUF bytes goes in whole or not at all, a longer one may be mixed with others.
        """
        self._loop = None
        self._lines.clear()
        self._size = self._unreported = 0
        self._at_once = _ATOMIC

    def line(self, text: str) -> None:
        """Write a line, or drop it and count it."""
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        if self._torn and not self._lines:
            data = b"\n" + data
            self._torn = False
        if self._size + len(data) > BUFFER_BYTES:
            self._drop(1)
            return
        self._lines.append(data)
        self._size += len(data)
        if self._loop is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_later(_GATHER, self.flush)

    def flush(self) -> None:
        """Write the gathered lines, as far as standard error takes them now."""
        self._scheduled = False
        while self._lines:
            chunk, rest = self._gather()
            sent = self._write(chunk)
            if sent == _LOST:
                self._lose(chunk, rest)
                continue
            self._lines = [chunk[sent:], *rest] if sent < len(chunk) else rest
            self._size -= sent
            if sent < len(chunk):
                self._torn = self._torn if not sent else chunk[sent - 1 : sent] != b"\n"
                self._retry_later()
                return
            self._torn = False
            if self._unreported and not self._lines:
                self._report()

    def _lose(self, chunk: bytes, rest: list[bytes]) -> None:
        """Drop lines that can never be written, without half a line for the next one to be appended to."""
        self._lines = rest
        self._size -= len(chunk)
        if chunk == self._report_line:
            self._unreported += self._reported
        else:
            self._drop(chunk.count(b"\n") - chunk.startswith(b"\n"))
        self._torn = self._torn or chunk.startswith(b"\n")
        if self._torn and rest:
            rest[0] = b"\n" + rest[0]
            self._size += 1
            self._torn = False

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unreported += count

    def _report(self) -> None:
        """Add the line that says how many were dropped, now that lines can be written again."""
        self._report_line = self.report(self._unreported)
        self._reported, self._unreported = self._unreported, 0
        self._lines.append(self._report_line)
        self._size = len(self._report_line)

    def _gather(self) -> tuple[bytes, list[bytes]]:
        """Return what to write in one go, whole lines where possible, and the lines that come after it."""
        if self._size <= self._at_once:
            return b"".join(self._lines), []
        count = size = 0
        for line in self._lines:
            size += len(line)
            if count and size > self._at_once:
                break
            count += 1
        return b"".join(self._lines[:count]), self._lines[count:]

    def _retry_later(self) -> None:
        if self._loop is not None and not self._scheduled:
            self._scheduled = True
            self._loop.call_later(_RETRY, self.flush)


def _non_blocking(fd: int) -> Callable[[bytes], int]:
    """Find a way to write to *fd* that never blocks; it returns how many bytes were taken, or `_LOST`.

    O_NONBLOCK cannot simply be set: it would hold for everyone who shares the open file, such as the shell that started
    us. A pipe or terminal is opened again, for a description of our own (proc_pid_fd(5)); a socket has a flag for each
    call (MSG_DONTWAIT, send(2)); a regular file never blocks; anything else is asked by poll(2) first.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return lambda _: _LOST
    if stat.S_ISREG(mode):
        return _quietly(lambda data: os.write(fd, data))
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return _quietly(lambda data: sock.send(data, socket.MSG_DONTWAIT))
    with contextlib.suppress(OSError):
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        return _quietly(lambda data: os.write(own, data))
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return _quietly(lambda data: os.write(fd, data[:_ATOMIC]) if poll.poll(0) else 0)


def _quietly(write: Callable[[bytes], int]) -> Callable[[bytes], int]:
    def attempt(data: bytes) -> int:
        try:
            return write(data)
        except BlockingIOError:
            return 0
        except OSError:
            return _LOST

    return attempt


def _plain_report(count: int) -> bytes:
    return f"event=log.dropped lines={count}\n".encode()


class _Logger:
    """What structlog calls with the finished line."""

    def __init__(self, output: Output) -> None:
        self.debug = self.info = self.warning = self.error = output.line


# One list for all loggers, those that were used before included, so that `prepend` reaches each of them.
_processors: list[Processor] = []


def prepend(processor: Processor) -> None:
    """Have *processor* amend or drop every event from now on, before anything else sees it."""
    _processors.insert(0, processor)


def configure(*, level: str, json_lines: bool, fd: int = 2) -> Output:
    """Set up structlog for this process, to write to *fd*. Returns the output, to be attached to the event loop."""
    output = Output(fd)
    render = _render_json if json_lines else _render_console
    output.report = lambda count: (
        render(None, "", _stamp(None, "warning", {"event": "log.dropped", "lines": count})).encode() + b"\n"
    )
    _processors[:] = [_stamp, render]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Logger(output),
        cache_logger_on_first_use=True,
    )
    return output


_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _stamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the time, the level and the event's name first: people read lines from the left."""
    return _timestamp(logger, method, {"timestamp": None, "level": method, "event": event.pop("event"), **event})


# What needs no quotes: visible ASCII, neither a quote nor an equals sign.
_PLAIN = re.compile(r"[!#-<>-~]+")
# Made once: json.dumps would make an encoder for every line.
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


def _render_console(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {event.pop('event')}"
    return " ".join([head, *(f"{key}={_console_value(value)}" for key, value in event.items())])


def _console_value(value: Any) -> str:
    """Write a value so that the line stays one line and its fields stay distinguishable."""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return _encode(value)
