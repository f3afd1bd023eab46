"""A name server that turns its answers, as most do (RFC 1794)."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

from tests.support.deadline import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_A = 1
# Header: a response, recursion available, no error. An address record: the name is that of the question.
_FLAGS = 0x8180
_RECORD = struct.Struct("!HHHIH4s")
_SAME_NAME = 0xC00C


class NameServer:
    """Answer every question for IPv4 addresses with all of them, each time with another one first."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._socket.getsockname())
        self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            message, client = self._socket.recvfrom(512)
            if not message:
                return
            self._socket.sendto(self._answer(message), client)

    def _answer(self, message: bytes) -> bytes:
        end = message.index(0, 12) + 5  # of the question: its name, type and class
        (kind,) = struct.unpack_from("!H", message, end - 4)
        records = b""
        if kind == _A:
            records = b"".join(
                _RECORD.pack(_SAME_NAME, _A, 1, 0, 4, socket.inet_aton(address)) for address in self._addresses
            )
            self._addresses.append(self._addresses.pop(0))
        head = message[:2] + struct.pack("!HHHHH", _FLAGS, 1, len(records) // _RECORD.size, 0, 0)
        return head + message[12:end] + records
