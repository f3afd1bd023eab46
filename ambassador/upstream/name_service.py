"""The system's name service, and the helper process that asks it where no thread can be had.

Run as a program this is the helper: a small process that takes questions from its standard input, a socket, and has a
child of its own answer each, so that a silent name holds up no other. It imports nothing of this package.
"""

from __future__ import annotations

import json
import os
import signal
import socket

# A question has one name of 253 characters at most (RFC 1035); an answer may have a few thousand addresses.
MOST_BYTES = 1 << 17


def look_up(name: str) -> tuple[str, ...]:
    """Ask the name service (getaddrinfo(3)) for the addresses of *name*, each once. Blocks.

    Raises:
        OSError, UnicodeError: there is no answer, or the name cannot be asked for.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def answered(name: str) -> tuple[tuple[str, ...], str | None]:
    """Return the addresses of *name*, or none and the reason. Blocks, and raises nothing."""
    try:
        return look_up(name), None
    except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must get an answer
        return (), getattr(error, "strerror", None) or str(error) or type(error).__name__


def serve(sock: socket.socket) -> None:  # pragma: no cover - the helper runs without site-packages, and so unmeasured
    """Answer the questions of a parent, each a message `[number, name]`, by `[number, addresses, reason]`.

    Where there is no room for a child it answers by itself, one question after the other, and says so first by
    `[number]`. Ends with its parent, and takes its children along.
    """
    # A terminal and a service manager send these to all: the dials of a drain still need their addresses.
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for, and none stays behind
    "name".encode("idna")  # which every look-up needs: loaded here once instead of by each child
    while question := sock.recv(MOST_BYTES):
        number, name = json.loads(question)
        try:
            child = os.fork()
        except OSError:
            _send(sock, [number])
            _send(sock, [number, *answered(name)])
            continue
        if child == 0:
            try:
                os.close(1)  # which tells the parent that the helper lives
                _send(sock, [number, *answered(name)])
            finally:
                os._exit(0)
    os.killpg(0, signal.SIGKILL)


def _send(sock: socket.socket, message: list[object]) -> None:  # pragma: no cover - as `serve`
    sock.send(json.dumps(message).encode())


if __name__ == "__main__":  # pragma: no cover - as `serve`
    serve(socket.socket(fileno=0))
