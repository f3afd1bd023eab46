"""Many connections to Redis that ask once and fall silent until standard input ends: `idle PORT COUNT`."""

from __future__ import annotations

import sys

from bench.origin import read_exactly
from bench.ports import connect

PING, PONG = b"PING\r\n", b"+PONG\r\n"
TIMEOUT = 20.0  # a relay that takes none for so long is full


def main(port: int, count: int) -> None:
    """Open *count* connections, say so, and hold them."""
    held = []
    for _ in range(count):
        sock = connect(port, timeout=TIMEOUT)
        held.append(sock)
        sock.sendall(PING)
        assert read_exactly(sock, len(PONG)) == PONG, "no answer"
    print("held", flush=True)
    sys.stdin.read()
    for sock in held:
        sock.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
