"""A relay that splices and does nothing else, one client at a time: `python -m bench.relays.floor LISTEN UPSTREAM`.

What it costs is the kernel's own part of a bulk stream, below which no relay that splices can be. BBR would pace it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import sys
import threading

from bench.ports import LOOPBACK

PIPE = 1 << 20  # the most that an unprivileged user gets (pipe-max-size, pipe(7))
FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


def ready(sock: socket.socket, events: int) -> select.epoll:
    """Make an epoll that waits for *events* of *sock*, told once a change."""
    made = select.epoll()
    made.register(sock.fileno(), events | select.EPOLLET)
    return made


def one_way(source: socket.socket, sink: socket.socket) -> None:
    """Splice until the end of the stream, then pass that on."""
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE)
    readable, writable = ready(source, select.EPOLLIN | select.EPOLLRDHUP), ready(sink, select.EPOLLOUT)
    with readable, writable, contextlib.suppress(OSError):
        while True:
            try:
                held = os.splice(source.fileno(), into, PIPE, flags=FLAGS)
            except BlockingIOError:
                readable.poll()
                continue
            if not held:
                break
            while held:
                try:
                    held -= os.splice(out, sink.fileno(), held, flags=FLAGS)
                except BlockingIOError:
                    writable.poll()
        sink.shutdown(socket.SHUT_WR)
    os.close(out)
    os.close(into)


def main(listen: int, upstream: int) -> None:
    """Relay one client after the other, each way in a thread of its own."""
    with socket.create_server((LOOPBACK, listen)) as server:
        while True:
            client, _ = server.accept()
            with client, socket.create_connection((LOOPBACK, upstream)) as far:
                for sock in (client, far):
                    sock.setblocking(False)  # noqa: FBT003 - the name of it
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
                down = threading.Thread(target=one_way, args=(far, client))
                down.start()
                one_way(client, far)
                down.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
