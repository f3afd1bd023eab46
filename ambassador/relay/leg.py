"""One connected socket of a relay, and what the kernel told of it so far."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from ambassador.net import poller

if TYPE_CHECKING:
    from ambassador.relay.direction import Direction
    from ambassador.relay.encrypted import Codec
    from ambassador.relay.relay import Relay

_FINISHING = poller.ERROR | poller.HANGUP | poller.ENDED
_TROUBLE = _FINISHING | poller.URGENT


class Leg:
    """One socket of a relay, which closes it; before there is a relay, whoever holds the leg does.

    Attributes:
        readable: whether a read may bring something; set by an event, cleared by EAGAIN or a short read.
        finishing: end of stream or an error is on its way, so a short read no longer proves the queue empty.
        inbound: the direction that writes here.
        outbound: the direction that reads here.
        urgent: an urgent byte is ahead, or was a moment ago: a read stops before it, so a short one proves nothing.
        codec: what encrypts and decrypts here, in a tunnel.
        error: the errno that ended the connection, or 0. What was received before it can still be read.
    """

    __slots__ = (
        "codec",
        "error",
        "finishing",
        "inbound",
        "muted",
        "outbound",
        "readable",
        "relay",
        "silent_since",
        "socket",
        "urgent",
    )

    inbound: Direction
    outbound: Direction
    relay: Relay

    def __init__(self, sock: socket.SocketType, codec: Codec | None = None) -> None:
        self.socket = sock
        self.codec = codec
        self.readable = False
        self.finishing = False
        self.error = 0
        self.urgent = False
        self.muted = False
        self.silent_since: float | None = None

    def note(self, mask: int) -> None:
        """Remember what an event says, without acting on it."""
        if mask & _TROUBLE:
            self._note_trouble(mask)
        if mask & poller.IN:
            self.readable = True

    def on_events(self, mask: int) -> None:
        """Act on an event: go on with the direction that waits for room here, and with the one that reads here."""
        relay = self.relay
        try:
            if mask & _TROUBLE:
                self._note_trouble(mask)
                if self.error:
                    relay.peer_gone(self, self.error)
                    return
            if mask & poller.OUT and self.inbound.blocked:
                self.inbound.pump()
            if mask & poller.IN:
                self.readable = not relay.over
            if self.readable:
                if self.outbound.blocked and not self.muted:
                    # More of what cannot be passed on yet: each segment would be an event to no purpose.
                    self.muted = True
                    relay.poller.mute(self.socket)
                else:
                    self.outbound.pump()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            relay.fail(error)

    def _note_trouble(self, mask: int) -> None:
        if mask & poller.URGENT:
            self.urgent = True
        if mask & _FINISHING:
            self.finishing = True
        self.readable = True
        if mask & poller.ERROR and not self.error:
            # After end of stream recv() no longer reports the error, only this does; reading it clears it.
            self.error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
