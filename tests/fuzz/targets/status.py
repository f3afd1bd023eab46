"""What `status` and `healthcheck` make of what listens at the admin address: the input is its answers.

It answers every request with what is after the next line `===`, and goes round.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import re
import socket
import threading
from typing import TYPE_CHECKING
from unittest import mock

from ambassador.commands import healthcheck, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS = (
    b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 x\r\n\r\n", b"\n===\n", b"ready", b"null", b"true", b"[]", b"{}", b"[",
    b"{", b"1e400", b"-1", b"1e18", b"NaN", b"Infinity", b"0.5", b'""', b'"up": ', b'"error": ', b'"for": ',
    b'"name": ', b'"id": ', b'"total": ', b'"rates": ', b'"ends": ', b"\\u001b[2J", b"\\n", b"\\ud800", b"\x1b[2J",
    b"\r", b"\xff", b"[" * 100, b"9" * 100,
)  # fmt: skip
LONGEST = 3000
# Characters: as much as fits of an answer, all of them escaped.
_WIDEST = 10 * 4096


def check(data: bytes) -> None:
    """Run both: they end with an exit code, and what they print is fit for a terminal."""
    with mock.patch.dict(os.environ, {"AMBASSADOR_ADMIN": _server().address}):
        for run in (healthcheck.main, lambda: status.run(watch=False)):
            _server().answers = itertools.cycle(re.split(rb"\n===\n", data))
            code, printed = _printed(run)
            assert code in {0, 1}
            for line in printed.split("\n"):
                assert line.isprintable(), ascii(line)
                assert len(line) <= _WIDEST


def _printed(run: Callable[[], int]) -> tuple[int, str]:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # as strict as a real one
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        code = run()
    terminal.seek(0)
    return code, terminal.read()


class _Server:
    """A server that answers anything, one client after the other."""

    def __init__(self) -> None:
        self.answers: Iterator[bytes] = itertools.repeat(b"")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, name="admin", daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(next(self.answers))


@functools.cache
def _server() -> _Server:
    """Start the server, once it is needed."""
    return _Server()
