"""Clients and upstreams of every kind, and what each connection has to come to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.deadline import PATIENCE
from tests.support.net import LOCAL, exactly, perhaps_reset, reset

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.support.process import Event

# One second of a slow reader's life is enough to fill what a relay may hold of it.
_SLOW_READ_PAUSE = 0.05
ORDERLY = frozenset({"closed"})
CUT = frozenset({"client_reset", "upstream_reset", "closed"})
UNREACHED = frozenset({"connect_refused", "connect_timeout", "client_gone"})


@dataclass
class Expected:
    """What the access log must say of one connection.

    Attributes:
        ends: the endings that it may have.
        up: bytes from the client, None where an ending by reset leaves it open.
        down: bytes to the client, likewise.
    """

    client: str
    ends: frozenset[str]
    up: int | None = None
    down: int | None = None

    def fits(self, line: Event) -> bool:
        """Tell whether a line of the access log says what had to come of this connection."""
        return (
            line["end"] in self.ends
            and (self.up is None or line["bytes_up"] == self.up)
            and (self.down is None or line["bytes_down"] == self.down)
        )


@dataclass
class Ledger:
    """What all clients did.

    Attributes:
        expected: what has to be in the access log, in the order in which the connections ended.
        wrong: what was not as it has to be.
    """

    expected: list[Expected] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, entry: Expected) -> None:
        """Take note of a connection that has ended."""
        with self._lock:
            self.expected.append(entry)
            self.done[kind] = self.done.get(kind, 0) + 1

    def complain(self, what: str) -> None:
        """Take note of something wrong."""
        with self._lock:
            self.wrong.append(what)


def upstream(client: socket.socket) -> None:
    """Do what the client's first byte says: echo, echo with long pauses, answer at the end, or reset."""
    order = client.recv(1)
    if order == b"i":
        client.settimeout(None)  # it may idle for as long as the soak lasts
    if order in {b"e", b"i"}:
        client.sendall(order)
        while data := client.recv(1 << 17):
            client.sendall(data)
    elif order == b"a":
        total = len(order)
        while data := client.recv(1 << 17):
            total += len(data)
        client.sendall(total.to_bytes(8, "big") * 1000)
    elif order == b"r":
        client.recv(1 << 17)
        reset(client)


class Client:
    """One connection of one kind, through route *port*."""

    def __init__(self, port: int, chance: random.Random, ledger: Ledger) -> None:
        self.port = port
        self.chance = chance
        self.ledger = ledger

    def run(self, kind: str) -> None:
        """Connect, be of that *kind*, and write down what has to come of it."""
        behave: Callable[[socket.socket], Expected] = getattr(self, kind)
        with socket.socket() as sock:
            sock.settimeout(PATIENCE)
            # The name is known before anything happens: a dial may fail before connect() returns.
            sock.bind((LOCAL, 0))
            self.name = "{}:{}".format(*sock.getsockname())
            try:
                self.ledger.add(kind, self._connect(sock) or behave(sock))
            except (OSError, AssertionError) as error:
                self.ledger.complain(f"{kind} {self.name}: {type(error).__name__} {error}")

    def _connect(self, sock: socket.socket) -> Expected | None:
        """Connect; return what has to come of a connection that was reset at once."""
        try:
            sock.connect((LOCAL, self.port))
        except ConnectionResetError:
            return Expected(self.name, UNREACHED, 0, 0)
        return None

    def chat(self, sock: socket.socket) -> Expected:
        """Exchange small messages."""
        total = 1
        sock.sendall(b"e")
        exactly(sock, 1)
        for _ in range(self.chance.randrange(1, 200)):
            message = self.chance.randbytes(self.chance.choice([1, 20, 500, 5000]))
            sock.sendall(message)
            assert exactly(sock, len(message)) == message, "an answer that is not the question"
            total += len(message)
        return self._finish(sock, total, b"")

    def bulk(self, sock: socket.socket) -> Expected:
        """Send a lot and read it back at the same time, sometimes slowly."""
        data = b"e" + self.chance.randbytes(self.chance.randrange(100_000, 8_000_000))
        sender = threading.Thread(target=self._pour, args=(sock, data))
        sender.start()
        slow = self.chance.random() < 0.2
        got = []
        while chunk := sock.recv(1 << 18):
            got.append(chunk)
            if slow and len(got) < 20:
                time.sleep(_SLOW_READ_PAUSE)
        sender.join()
        assert b"".join(got) == data, "bulk came back changed"
        return Expected(self.name, ORDERLY, len(data), len(data))

    def question(self, sock: socket.socket) -> Expected:
        """Send, end the stream, and be answered after that."""
        size = self.chance.randrange(300_000)
        sock.sendall(b"a" + bytes(size))
        return self._finish(sock, 1 + size, (1 + size).to_bytes(8, "big") * 1000)

    def reset_by_client(self, sock: socket.socket) -> Expected:
        """Reset at some moment."""
        with perhaps_reset():
            sock.sendall(b"e" + bytes(self.chance.randrange(500_000)))
        reset(sock)
        return Expected(self.name, CUT)

    def reset_by_upstream(self, sock: socket.socket) -> Expected:
        """Be reset: what comes is never an orderly end."""
        ended = "by a reset"
        with perhaps_reset():
            sock.sendall(b"r" + bytes(self.chance.randrange(1, 1000)))
            while sock.recv(1 << 16):
                pass
            ended = "in order"
        assert ended == "by a reset", "a reset became an orderly end"
        return Expected(self.name, frozenset({"upstream_reset"}))

    def unreached(self, sock: socket.socket) -> Expected:
        """Be a client of an upstream that is not there."""
        ended = "by a reset"
        with perhaps_reset():
            if self.chance.random() < 0.2:
                reset(sock)
            else:
                sock.sendall(b"x")
                ended = "in order" if sock.recv(1) == b"" else "by data"
        assert ended == "by a reset", f"a failed dial ended {ended}"
        return Expected(self.name, UNREACHED, 0, 0)

    def flapping(self, sock: socket.socket) -> Expected:
        """Be a client of an upstream that comes and goes: all of the answer, or a reset."""
        question = bytes([self.chance.randrange(256)]) * 3000
        got = b""
        whole = False
        with perhaps_reset():
            sock.sendall(b"e" + question)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(1 << 16):
                got += chunk
            whole = True
        assert not whole or got == b"e" + question, "part of an answer in good order"
        if whole:
            return Expected(self.name, ORDERLY, 3001, 3001)
        return Expected(self.name, CUT | UNREACHED)

    def _finish(self, sock: socket.socket, sent: int, answer: bytes) -> Expected:
        sock.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: sock.recv(1 << 17), b""))
        assert got == answer, "an answer that is not the one that was due"
        return Expected(self.name, ORDERLY, sent, len(answer) or sent)

    def _pour(self, sock: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the reader sees what came of it
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
