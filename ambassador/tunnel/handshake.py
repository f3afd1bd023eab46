"""A tunnel's handshake on a connected socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ambassador.net import poller
from ambassador.tunnel import HandshakeError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ambassador.tunnel import Codec

_READ_BYTES = 16384


class Handshake:
    """Run a codec's handshake on a socket, driven by the socket's events.

    Exactly one of *done* and *failed* is called, *failed* with a reason fit for a log. The caller keeps the deadline
    and closes the socket. Nothing but the handshake is sent, and no payload is read.
    """

    __slots__ = ("_codec", "_done", "_failed", "_over", "_sock", "_unsent")

    def __init__(
        self, sock: socket.SocketType, codec: Codec, *, done: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._sock = sock
        self._codec = codec
        self._done = done
        self._failed = failed
        self._unsent = b""
        self._over = False

    def start(self) -> None:
        """Send the first message if it is ours, and read what has come already: no further event would tell of it."""
        self._go_on(b"")
        self.on_events(poller.IN)

    def on_events(self, mask: int) -> None:
        """Continue after an event of the socket, as far as it goes; *mask* is the poller's."""
        if mask & poller.OUT:
            self.send_more()
        while not self._over and mask & (poller.IN | poller.ENDED | poller.ERROR):
            if self.read(_READ_BYTES) is None:
                return

    @property
    def unsent(self) -> bool:
        """Tell whether something is to be sent once the socket is writable."""
        return bool(self._unsent)

    def send_more(self) -> None:
        """Send what the socket had no room for."""
        if self._unsent:
            self._send(b"")

    def read(self, most: int) -> int | None:
        """Take what one read of the socket brings, and return how much: 0 at an end or an error, None if nothing."""
        try:
            data = self._sock.recv(most)
        except BlockingIOError:
            return None
        except OSError as error:
            self._fail(os.strerror(error.errno or 0))
            return 0
        if data:
            self._go_on(data)
        else:
            self._fail("connection closed by the peer during the handshake")
        return len(data)

    def _go_on(self, data: bytes) -> None:
        try:
            established = self._codec.handshake(data)
        except HandshakeError as error:
            self._send(self._codec.outgoing())
            self._fail(str(error))
            return
        self._send(self._codec.outgoing())
        if established and not self._unsent:
            self._finish()

    def _send(self, data: bytes) -> None:
        """Send a part of the handshake; what the socket does not take at once waits for its event."""
        data = self._unsent + data
        try:
            sent = self._sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the next read says what happened
        self._unsent = data[sent:]
        if not self._unsent and self._codec.established:
            self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._done()

    def _fail(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._failed(reason)
