"""The wire between two ambassadors, on which somebody sits who reads, cuts, and changes what passes."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field
from typing import Literal

from tests.support.net import connect, reset
from tests.support.servers import Server

Ending = Literal["end", "reset"]


@dataclass
class Way:
    """What passes one way, over all connections.

    Attributes:
        passed: all of it.
        cut: after how many bytes the wire is cut, and how both ends learn of it.
        flip: which byte is changed by one bit.
    """

    passed: bytearray = field(default_factory=bytearray)
    cut: tuple[int, Ending] | None = None
    flip: int | None = None

    def cut_after(self, count: int, how: Ending) -> None:
        """Cut once *count* more bytes have passed."""
        self.cut = (len(self.passed) + count, how)

    def flip_after(self, count: int) -> None:
        """Change one bit once *count* more bytes have passed."""
        self.flip = len(self.passed) + count

    def take(self, data: bytes) -> bytes:
        """Let *data* pass: return what comes out at the other side."""
        start = len(self.passed)
        if self.cut is not None:
            data = data[: max(0, self.cut[0] - start)]
        self.passed += data
        if self.flip is not None and start <= self.flip < len(self.passed):
            at, self.flip = self.flip - start, None
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data

    def is_cut(self) -> bool:
        """Tell whether nothing passes any more."""
        return self.cut is not None and len(self.passed) >= self.cut[0]


class Wire(Server):
    """Carry every client's connection to *port*.

    Attributes:
        up: what the clients send.
        down: what is sent to them.
    """

    def __init__(self, port: int) -> None:
        super().__init__(self._carry)
        self.up = Way()
        self.down = Way()
        self._to = port

    def _carry(self, client: socket.socket) -> None:
        with connect(self._to) as server:
            try:
                how = _Carrier(client, server, self.up, self.down).run()
            except ConnectionError:
                how = "reset"
            if how == "reset":
                reset(client)
                reset(server)


class _Carrier:
    """One connection on the wire. Holds what a side does not take, and reads no more of the other meanwhile."""

    def __init__(self, client: socket.socket, server: socket.socket, up: Way, down: Way) -> None:
        self.sinks = {client: server, server: client}
        self.ways = {client: up, server: down}
        self.held = {client: b"", server: b""}
        self.ended: set[socket.socket] = set()
        for sock in self.sinks:
            sock.setblocking(False)  # noqa: FBT003 - the name of it

    def run(self) -> Ending:
        """Carry until both sides have ended, or the wire is cut; tell how."""
        while len(self.ended) < 2:
            reads = [sock for sock in self.sinks if sock not in self.ended and not self.held[self.sinks[sock]]]
            readable, writable, _ = select.select(reads, [sock for sock in self.sinks if self.held[sock]], [])
            for sink in writable:
                self._send(sink, b"")
            for source in readable:
                self._read(source)
                way = self.ways[source]
                if way.is_cut() and not self.held[self.sinks[source]] and way.cut is not None:
                    return way.cut[1]
        return "end"

    def _read(self, source: socket.socket) -> None:
        data = source.recv(1 << 16)
        if data:
            self._send(self.sinks[source], self.ways[source].take(data))
        else:
            self.ended.add(source)
            self.sinks[source].shutdown(socket.SHUT_WR)

    def _send(self, sink: socket.socket, data: bytes) -> None:
        data = self.held[sink] + data
        try:
            sent = sink.send(data)
        except BlockingIOError:
            sent = 0
        self.held[sink] = data[sent:]


def read_to_error(sock: socket.socket) -> tuple[bytes, type[OSError] | None]:
    """Read until the stream ends; return what came, and the error that ended it, or None for an orderly end."""
    received = bytearray()
    try:
        while data := sock.recv(1 << 16):
            received += data
    except ConnectionError as error:
        return bytes(received), type(error)
    return bytes(received), None
