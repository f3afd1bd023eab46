"""Clients without a proof, as many as come: `strangers PORT SECONDS SOCKETS HOW [HELLO]`.

Each of SOCKETS connects, sends its first flight, waits for the first answer, resets, and begins again. HOW is `whole`,
`bytes` (one byte a segment), `reset` (nothing is sent) or `silent` (nothing is sent, and SOCKETS new ones come a second
and stay). HELLO is a file with what is sent.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

from bench.ports import LOOPBACK

RESET = struct.pack("ii", 1, 0)
BYTES_A_TURN = 4  # so that many sockets go on at the same time


class Stranger:
    """One socket of the attacker's."""

    def __init__(self, port: int, hello: bytes, how: str) -> None:
        self.left = memoryview(hello)
        self.how = how
        self.sock = socket.socket()
        self.sock.setblocking(False)  # noqa: FBT003 - the name of it
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex((LOOPBACK, port))

    def go_on(self, events: int) -> bool:
        """Send and read what can be; tell whether it is over."""
        try:
            if self.how == "reset":
                return True
            if events & selectors.EVENT_READ:
                self.sock.recv(65536)
                return True
            for _ in range(BYTES_A_TURN if self.how == "bytes" else 1):
                self.left = self.left[self.sock.send(self.left[:1] if self.how == "bytes" else self.left) :]
                if not self.left:
                    break
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False


def attack(port: int, seconds: float, sockets: int, how: str, hello: bytes) -> int:
    """Come again and again for *seconds*; return how many came."""
    count = 0
    poll = selectors.EpollSelector()

    def begin() -> None:
        stranger = Stranger(port, hello, how)
        poll.register(stranger.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, stranger)

    for _ in range(sockets):
        begin()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for key, events in poll.select(0.1):
            stranger: Stranger = key.data
            if stranger.go_on(events):
                poll.unregister(stranger.sock)
                stranger.sock.close()
                count += 1
                begin()
            elif not stranger.left:
                poll.modify(stranger.sock, selectors.EVENT_READ, stranger)
    return count


def be_silent(port: int, seconds: float, rate: int) -> int:
    """Connect *rate* times a second and say nothing; return how many came."""
    held: list[Stranger] = []
    begun = time.monotonic()
    while (now := time.monotonic()) < begun + seconds:
        while len(held) < (now - begun) * rate:
            held.append(Stranger(port, b"", "silent"))
        with suppress(IndexError):
            held[-4 * rate].sock.close()  # it was reset long ago, or need not be longer
        time.sleep(0.002)
    return len(held)


def main(port: int, seconds: float, sockets: int, how: str, hello: str = "") -> None:
    """Attack, and print how many strangers came a second, and what that cost the attacker."""
    sent = Path(hello).read_bytes() if hello else b"?"
    count = be_silent(port, seconds, sockets) if how == "silent" else attack(port, seconds, sockets, how, sent)
    print(json.dumps({"rate": count / seconds, "cpu": time.process_time() / seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:6])
