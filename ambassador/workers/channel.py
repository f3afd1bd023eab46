"""Messages between the parent and a worker: JSON, a line each, over a socket pair that ends with either of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

Message = dict[str, object]

# The longest answer lists every connection of a worker, at some 200 bytes each.
_LONGEST = 256 * 1024 * 1024
# What a peer that does not read may let wait here before what can be left out is left out.
_BACKLOG = 64 * 1024
_GRACE = 1.0


class Channel:
    """One end of the socket pair, on the event loop of its process. Owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[bytes] = []

    def send(self, message: Message) -> None:
        """Send a message. It is lost when the peer is gone, which `receive` tells."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if self._writer is None:
            self._waiting.append(line)
        elif not self._writer.transport.is_closing():
            self._writer.write(line)

    def congested(self) -> bool:
        """Tell whether the peer does not read: what it can do without should not be sent."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > _BACKLOG

    async def receive(self) -> Message | None:
        """Return the peer's next message; None when it has closed its end, which it does at the latest when it dies.

        May last for ever: a peer that lives may have nothing to say.
        """
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_unix_connection(sock=self._sock, limit=_LONGEST)
            self._writer.writelines(self._waiting)
            self._waiting.clear()
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        message: Message | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    async def close(self) -> None:
        """Send what waits, to a peer that reads, and close."""
        if self._writer is None:
            self._sock.close()
            return
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._writer.wait_closed()
