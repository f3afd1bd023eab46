"""Sockets as tests need them: free ports, resets, an address where nobody answers."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deadline import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL = "127.0.0.1"
# Below what the kernel gives to clients, and above what `bench` takes.
_RANGE = (16_000, 32_000)
_RESET = struct.pack("ii", 1, 0)


class _Ports:
    """Hand out ports, each once, that no other process of any test run on this machine hands out at the same time.

    One byte of a file is locked for each port, until this process ends: a bind that is tried and closed again would
    leave the port to whoever tries next.
    """

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._given: set[int] = set()
        path = Path(tempfile.gettempdir(), f"ambassador-test-ports-{os.getuid()}")
        # Never closed: to close any descriptor of the file would unlock all that is locked.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> int:
        """Return a port that nobody listens on."""
        while True:
            port = self._random.randrange(*_RANGE)
            if port not in self._given and self._locked(port) and _nobody_listens(port):
                self._given.add(port)
                return port

    def _locked(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _nobody_listens(port: int) -> bool:
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        return True
    return False


free_port = _Ports().take


def connect(port: int, host: str = LOCAL) -> socket.socket:
    """Connect to *port*; whatever takes longer than the tests' patience fails."""
    return socket.create_connection((host, port), PATIENCE)


def reset(sock: socket.socket) -> None:
    """Close *sock* by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def read_to_end(sock: socket.socket) -> bytes:
    """Read up to end of stream; a reset raises."""
    return b"".join(iter(lambda: sock.recv(1 << 18), b""))


def exactly(sock: socket.socket, count: int) -> bytes:
    """Read *count* bytes."""
    chunks = []
    while count:
        chunk = sock.recv(min(count, 1 << 18))
        assert chunk, f"end of stream with {count} bytes to come"
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def digest_to_end(sock: socket.socket) -> tuple[int, str]:
    """Read up to end of stream; return how many bytes came, and their hash."""
    digest, total = hashlib.sha256(), 0
    while chunk := sock.recv(1 << 18):
        digest.update(chunk)
        total += len(chunk)
    return total, digest.hexdigest()


def final_error(sock: socket.socket) -> type[OSError] | None:
    """Read until the stream ends; return the error that ended it, None for an orderly end."""
    try:
        read_to_end(sock)
    except TimeoutError:
        raise
    except OSError as error:
        return type(error)
    return None


def turned_away(port: int, host: str = LOCAL) -> bool:
    """Tell whether whoever accepts at *port* resets at once, which may come to light before connect(2) has returned."""
    try:
        with connect(port, host) as client:
            return final_error(client) is ConnectionResetError
    except ConnectionResetError:
        return True


@contextlib.contextmanager
def perhaps_reset() -> Iterator[None]:
    """Take a reset by the other side for one way in which a block may end; shutdown calls it ENOTCONN."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        if not isinstance(error, ConnectionError) and error.errno != errno.ENOTCONN:
            raise


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a TCP connection."""
    with socket.create_server((LOCAL, 0)) as server:
        ours = connect(server.getsockname()[1])
        theirs, _ = server.accept()
    theirs.settimeout(PATIENCE)
    return ours, theirs


@contextlib.contextmanager
def black_hole(host: str = LOCAL, port: int = 0) -> Iterator[int]:
    """Yield a port whose queue is full, so that the kernel drops every further SYN: nobody ever answers."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, port))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the name of it
            filler.connect_ex((host, port))
            if not select.select([], [filler], [], 0.2)[1]:
                break
        else:
            raise AssertionError("the queue of a listener does not get full")
        yield port


def unread(sock: socket.socket) -> int:
    """Count the bytes that have come and were not read."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


def wait_for_event(sock: socket.socket, event: int) -> None:
    """Wait until the kernel has noted an event at a socket, whoever else is told of it."""
    poll = select.poll()
    poll.register(sock, event)
    assert poll.poll(PATIENCE * 1000)
