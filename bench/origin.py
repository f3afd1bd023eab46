"""The server behind the relays for loads that Redis cannot give: `python -m bench.origin PORT`.

A connection's first 16 bytes say what it wants: a letter and a number of bytes (`Mode`). Bulk transfers run in a
process of their own each, so that they do not wait for each other or for an echo.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import ROOT
from bench.ports import LOOPBACK, free_port, wait_for_listener

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("!c7xQ")
DONE = b"!"  # what a sender gets back once all has arrived; no end of stream, which some relays do not pass on
UP, DOWN, BOTH, ECHO = b"U", b"D", b"B", b"E"
CHUNK = 1 << 20
ENDLESS = 1 << 62  # until the client goes


def send_bulk(sock: socket.socket, size: int) -> None:
    """Send *size* bytes."""
    chunk = memoryview(bytes(CHUNK))
    while size > 0:
        sock.sendall(chunk[: min(size, CHUNK)])
        size -= CHUNK


def discard(sock: socket.socket, size: int) -> None:
    """Receive *size* bytes, and copy them as every application does.

    A reader that has the kernel drop them (MSG_TRUNC, tcp(7)) is faster than any sender, so it sleeps after each
    segment, and whoever sends pays for waking it: half of a relay's CPU was that.

    Raises:
        ConnectionError: the stream ended before.
    """
    room = bytearray(CHUNK)
    while size > 0:
        count = sock.recv_into(room, min(size, CHUNK))
        if not count:
            raise ConnectionError(f"the stream ended {size} bytes too early")
        size -= count


@contextlib.contextmanager
def sending(sock: socket.socket, size: int) -> Iterator[None]:
    """Send *size* bytes from a process of its own; leaving waits for it."""
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            send_bulk(sock, size)
        os._exit(0)
    yield
    os.waitpid(child, 0)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """Read *size* bytes, fewer only at the end of the stream."""
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def answer(sock: socket.socket) -> None:
    """Do what the connection asks for, until it ends."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    header = read_exactly(sock, HEADER.size)
    if len(header) < HEADER.size:
        return
    mode, size = HEADER.unpack(header)
    if mode == UP:
        discard(sock, size)
        sock.sendall(DONE)
    elif mode == DOWN:
        send_bulk(sock, size)
    elif mode == BOTH:
        with sending(sock, size):
            discard(sock, size)
        sock.sendall(DONE)
    elif mode == ECHO:
        while data := sock.recv(65_536):
            sock.sendall(data)


def serve(port: int) -> None:
    """Answer every connection to *port* in a process of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.create_server((LOOPBACK, port), backlog=1024) as listener:
        while True:
            sock, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                with contextlib.suppress(OSError):
                    answer(sock)
                os._exit(0)
            sock.close()


@contextlib.contextmanager
def origin() -> Iterator[int]:
    """Run an origin; the value is its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.origin", str(port)], cwd=ROOT, start_new_session=True)
    try:
        wait_for_listener(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
