"""Sockets as tests need them: free ports, resets, an address where nobody answers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import random
import select
import socket
import struct
from typing import TYPE_CHECKING

from tests.support.deadline import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)
_ports = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on, below those that the kernel gives to clients."""
    while True:
        port = _ports.randrange(10_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
            return port


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
def black_hole() -> Iterator[int]:
    """Yield a port whose queue is full, so that the kernel drops every further SYN: nobody ever answers."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((LOCAL, 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the name of it
            filler.connect_ex((LOCAL, port))
            if not select.select([], [filler], [], 0.2)[1]:
                break
        else:
            raise AssertionError("the queue of a listener does not get full")
        yield port
