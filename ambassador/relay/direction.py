"""One way of a relay: bytes from a source to a sink, then its end of stream."""

from __future__ import annotations

from errno import ECONNRESET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ambassador.relay.leg import Leg
    from ambassador.relay.relay import Relay

# One read takes this much: as much as a GRO segment holds, and small enough to stay in the processor's cache.
READ_BYTES = 65536
# After this many bytes a direction lets the others have their turn, so that a bulk stream delays nobody for long.
TURN_BYTES = 8 * READ_BYTES

# Shared by all connections of the process: bytes stay here only between a read and the write that follows it.
_BUFFER = bytearray(READ_BYTES)
_VIEW = memoryview(_BUFFER)


class Direction:
    """Copy from one leg to another, as far as both allow at the moment. No buffer is held unless the sink is full.

    Attributes:
        moved: bytes that the sink's kernel took.
        blocked: bytes are held that the sink has no room for; go on when it is writable.
        over: nothing will be moved any more: the end of stream went on, or the relay gave the direction up.
    """

    __slots__ = ("_held", "blocked", "moved", "over", "relay", "sink", "source")

    def __init__(self, source: Leg, sink: Leg, relay: Relay) -> None:
        self.source = source
        self.sink = sink
        self.relay = relay
        self.moved = 0
        self.blocked = False
        self.over = False
        self._held: memoryview | None = None

    def pump(self) -> None:
        """Move bytes until the source is dry, the sink is full, or the turn is used up."""
        if self.over or (self.blocked and not self._send_held()):
            return
        source, sink = self.source, self.sink
        recv_into, send = source.socket.recv_into, sink.socket.send
        turn_ends = self.moved + TURN_BYTES
        while source.readable:
            try:
                count = recv_into(_BUFFER)
            except BlockingIOError:
                source.readable = False
                return
            except OSError as error:
                self.over = True
                self.relay.lose(source, error.errno or ECONNRESET)
                return
            if count == 0:
                self.relay.read_to_end(self)
                return
            if count < READ_BYTES:
                # epoll(7): a short read means that the queue was emptied, unless its end is already in sight.
                source.readable = source.finishing
            try:
                sent = send(_VIEW[:count])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.relay.lose(sink, error.errno or ECONNRESET)
                return
            self.moved += sent
            if sent < count:
                self._held = memoryview(bytes(_VIEW[sent:count]))
                self.blocked = True
                return
            if self.moved >= turn_ends:
                self.relay.poller.again(self.resume)
                return

    def resume(self) -> None:
        """Go on after a turn that was used up."""
        try:
            self.pump()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            self.relay.fail(error)

    def give_up(self) -> None:
        """Move nothing any more, and drop what is held."""
        self.over = True
        self.blocked = False
        self._held = None

    def _send_held(self) -> bool:
        """Send what the sink had no room for; tell whether all of it went."""
        held = self._held
        assert held is not None  # noqa: S101 - `blocked` says so
        try:
            sent = self.sink.socket.send(held)
        except BlockingIOError:
            return False
        except OSError as error:
            self.relay.lose(self.sink, error.errno or ECONNRESET)
            return False
        self.moved += sent
        if sent < len(held):
            self._held = held[sent:]
            return False
        self._held = None
        self.blocked = False
        return True
