"""Move many bytes through one connection as fast as it takes them: `bulk PORT up|down|both BYTES`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from bench.origin import BOTH, DONE, DOWN, HEADER, UP, discard, read_exactly, send_bulk, sending
from bench.ports import connect

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def up(sock: socket.socket, size: int) -> None:
    """Send *size* bytes and wait until the origin has them all."""
    sock.sendall(HEADER.pack(UP, size))
    send_bulk(sock, size)
    assert read_exactly(sock, len(DONE)) == DONE, "the stream broke"


def down(sock: socket.socket, size: int) -> None:
    """Receive *size* bytes."""
    sock.sendall(HEADER.pack(DOWN, size))
    discard(sock, size)


def both(sock: socket.socket, size: int) -> None:
    """Send *size* bytes, receive as many at the same time, and wait until the origin has them all."""
    sock.sendall(HEADER.pack(BOTH, size))
    with sending(sock, size):
        discard(sock, size)
    assert read_exactly(sock, len(DONE)) == DONE, "the stream broke"


WAYS: dict[str, Callable[[socket.socket, int], None]] = {"up": up, "down": down, "both": both}


def main(port: int, way: str, size: int) -> None:
    """Run one transfer and print how long it took."""
    with connect(port) as sock:
        begun = time.perf_counter()
        WAYS[way](sock, size)
        print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
