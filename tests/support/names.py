"""A name server that tests can have silent."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.net import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = 12


class NameServer:
    """Say that every name is 127.0.0.1, but nothing at all of those that begin with `silent`.

    Attributes:
        address: where it listens, on port 53.
        asked: the names that it was asked for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.address: str = sock.getsockname()[0]
        self.asked: list[str] = []
        self._socket = sock

    def serve(self) -> None:
        """Answer until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                question, client = self._socket.recvfrom(512)
                if not question:
                    return
                self._answer(question, client)

    def _answer(self, question: bytes, client: tuple[str, int]) -> None:
        """Answer one question (RFC 1035): the address for type A, no record for any other type."""
        end = _HEADER
        labels = []
        while length := question[end]:
            labels.append(question[end + 1 : end + 1 + length].decode())
            end += 1 + length
        (kind,) = struct.unpack_from("!H", question, end + 1)
        name = ".".join(labels)
        self.asked.append(name)
        if name.startswith("silent"):
            return
        records = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 0, 4, socket.inet_aton(LOCAL)) if kind == 1 else b""
        header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records) // 16, 0, 0)
        self._socket.sendto(header + question[_HEADER : end + 5] + records, client)


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    """Run a name server on an address of 127.0.0.0/8 of its own; port 53 is root's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for last in range(2, 255):
            try:
                sock.bind((f"127.53.0.{last}", 53))
            except PermissionError:
                pytest.skip("port 53 is not ours to take")
            except OSError:
                continue  # another test's
            break
        server = NameServer(sock)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()
