"""The two ways of a relay that end or begin in a tunnel: plaintext on one side, TLS records on the other.

Here end of stream is close_notify (RFC 8446, section 6.1). A connection that ends without it was cut, by whomever, and
the other side learns of that by a reset. Records know no urgent byte: it travels in its place, as any other.
"""

from __future__ import annotations

from errno import ECONNRESET, EPIPE, EPROTO
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from ambassador.relay.direction import TURN_BYTES, VIEW, Direction

if TYPE_CHECKING:
    from ambassador.relay.leg import Leg
    from ambassador.relay.relay import Relay


# Seconds. How much work there is to a byte is up to whoever sends it, so a turn ends by time, too: after about as much
# of it as `TURN_BYTES` of bulk take (0.5 ms on a calm machine).
TURN_SECONDS = 0.001


class Codec(Protocol):
    """What a tunnel does to bytes, without I/O; the handshake is done."""

    ended: bool
    broken: str
    refused: bool

    @property
    def waiting(self) -> bool:
        """Tell whether there is something to decrypt already."""

    def encrypt(self, plaintext: memoryview) -> bytes:
        """Return the ciphertext to send."""

    def decrypt(self, ciphertext: bytes | memoryview = b"") -> memoryview:
        """Return the plaintext that is complete; it stands until the next call."""

    def end(self) -> bytes:
        """Return the ciphertext that ends our way in order."""


class Encrypt(Direction):
    """Encrypt what a plain source sends, into a tunnel. `moved` counts plaintext."""

    __slots__ = ("_codec", "_ending", "_plaintext_held")

    def __init__(self, source: Leg, sink: Leg, relay: Relay, codec: Codec) -> None:
        super().__init__(source, sink, relay)
        self._codec = codec
        self._plaintext_held = 0  # how much plaintext is in what is held
        self._ending = False

    def pump(self) -> None:
        """Move bytes until the source is dry, the sink is full, or the turn is used up."""
        if self.over or (self.blocked and not self._send_held()):
            return
        turn_ends, until = self.moved + TURN_BYTES, 0.0
        # A codec that is broken cannot encrypt either; the other direction ends the relay once its sink has room.
        while not self._ending and self.source.readable and not self._codec.broken:
            count = self.read()
            if count < 0:
                return
            if count == 0:
                self._ending = True
                # A reset reads like an end of stream once its error was asked for; nothing must say that it was one,
                # unless an end of stream came before it (EPIPE).
                ciphertext = b"" if self.source.error not in {0, EPIPE} else self._codec.end()
            else:
                ciphertext = self._codec.encrypt(VIEW[:count])
            self._plaintext_held = count
            if self.send(ciphertext) < len(ciphertext):
                return
            self.moved += count
            if self.source.readable and not self._ending:
                until = until or monotonic() + TURN_SECONDS
                if self.moved >= turn_ends or monotonic() >= until:
                    self.again()
                    return
        if self._ending:
            self.relay.read_to_end(self)

    def _send_held(self) -> bool:
        moved = self.moved
        done = super()._send_held()
        # Records are counted as the plaintext in them, when all of them have gone.
        self.moved = moved + self._plaintext_held if done else moved
        return done


class Decrypt(Direction):
    """Decrypt what comes out of a tunnel, for a plain sink. `moved` counts plaintext."""

    __slots__ = ("_codec",)

    def __init__(self, source: Leg, sink: Leg, relay: Relay, codec: Codec) -> None:
        super().__init__(source, sink, relay)
        self._codec = codec
        # The events of the handshake are not known here: the end may be in sight already.
        source.finishing = True

    def pump(self) -> None:
        """Move bytes until the source is dry, the sink is full, or the turn is used up."""
        if self.over or (self.blocked and not self._send_held()) or self._settled():
            return
        waiting, left, until = self._codec.waiting, TURN_BYTES, 0.0
        while waiting or self.source.readable:
            count = 0 if waiting else self.read()
            if count < 0:
                # Dry, so from here on every end is told by an event.
                self.source.finishing = bool(self.source.error)
                return
            if count == 0 and not waiting:
                self.over = True
                self.relay.peer_gone(self.source, ECONNRESET)
                return
            if not self._pass_on(self._codec.decrypt(VIEW[:count])):
                return
            left -= count  # of ciphertext: there may be no plaintext in it
            waiting = self._codec.waiting
            if waiting or self.source.readable:
                until = until or monotonic() + TURN_SECONDS
                if left <= 0 or monotonic() >= until:
                    self.again()
                    return

    def _pass_on(self, plaintext: memoryview) -> bool:
        """Send plaintext on; tell whether more may be read."""
        sent = self.send(plaintext)
        if sent < 0:
            return False
        self.moved += sent
        return not self.blocked and not self._settled()

    def _settled(self) -> bool:
        """Tell whether the peer's way has ended, in order or not, once all that came before is sent."""
        if self._codec.broken:
            self.over = True
            self.source.error = EPROTO  # tells more than a reset that came along with it
            self.relay.peer_gone(self.source, EPROTO)
            return True
        if self._codec.ended:
            self.relay.read_to_end(self)
            return True
        return False
