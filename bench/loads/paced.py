"""Requests to Redis at a fixed rate, whatever the answers' pace: `paced PORT CLIENTS RATE SECONDS`.

A request's time counts from when it was due, not from when its connection was free to send it, so that a relay that
stalls is charged for everything that waits behind the stall ("coordinated omission").
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque

from bench.ports import connect
from bench.summary import percentile

PING, PONG = b"PING\r\n", len(b"+PONG\r\n")
GRACE = 5.0  # seconds for the last answers


class Client:
    """A connection and the due times of its requests that are not answered yet."""

    def __init__(self, port: int) -> None:
        self.sock = connect(port)
        self.due: deque[float] = deque()
        self.odd = 0  # bytes of an answer that came in part

    def fileno(self) -> int:
        """Give select the socket."""
        return self.sock.fileno()

    def ask(self, due: float) -> None:
        """Send a request that was due at *due*; requests of one client may overlap."""
        self.due.append(due)
        self.sock.sendall(PING)

    def answered(self, now: float) -> list[float]:
        """Receive what is there and return the times of the requests that it answers, in milliseconds."""
        data = self.sock.recv(65_536)
        assert data, "the relay closed"
        done, self.odd = divmod(self.odd + len(data), PONG)
        return [1000 * (now - self.due.popleft()) for _ in range(done)]


def play(clients: list[Client], rate: float, seconds: float) -> list[float]:
    """Offer *rate* requests a second, in turn from each client, and return every answer's time."""
    times: list[float] = []
    total, sent = int(rate * seconds), 0
    begun = time.perf_counter()
    while len(times) < total:
        now = time.perf_counter()
        assert now < begun + seconds + GRACE, "answers are missing"
        while sent < total and (due := begun + sent / rate) <= now:
            clients[sent % len(clients)].ask(due)
            sent += 1
        wait = max(0.0, begun + sent / rate - time.perf_counter()) if sent < total else GRACE
        # select rather than epoll: its timeout is in microseconds, epoll's in milliseconds
        for client in select.select(clients, [], [], wait)[0]:
            times += client.answered(time.perf_counter())
    return times


def main(port: int, count: int, rate: float, seconds: float) -> None:
    """Print the percentiles in milliseconds."""
    clients = [Client(port) for _ in range(count)]
    times = play(clients, rate, seconds)
    for client in clients:
        client.sock.shutdown(socket.SHUT_RDWR)
        client.sock.close()
    print(json.dumps({f"p{share}": percentile(times, share) for share in (50, 99, 99.9)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
