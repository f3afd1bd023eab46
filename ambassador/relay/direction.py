"""One way of a relay: bytes from a source to a sink, then its end of stream.

Small messages are copied through one buffer that all share: two system calls each. A direction that runs full borrows
a pipe and is spliced (splice(2)), which leaves the bytes in the kernel; as soon as it is no longer full the pipe goes
back. The switch is made only while nothing is held, in either way.
"""

from __future__ import annotations

from errno import ECONNRESET
from typing import TYPE_CHECKING

from ambassador.net import tcp
from ambassador.relay import splice, urgent

if TYPE_CHECKING:
    from ambassador.relay.leg import Leg
    from ambassador.relay.pipes import Pipe
    from ambassador.relay.relay import Relay

# One read takes this much: as much as a GRO segment holds, and small enough to stay in the processor's cache.
READ_BYTES = 65536
# After this many bytes a direction lets the others have their turn, so that a bulk stream delays nobody for long.
TURN_BYTES = 8 * READ_BYTES
# A direction runs full when this many reads in a row fill the buffer, until as many turns in a row move less than
# `_STILL_FULL` bytes.
_FULL_READS = 4
_STILL_FULL = READ_BYTES // 4
# One whose sink stalled has to fill so many, 4 MiB: who takes a little now and then would have a pipe again at once.
_READS_AFTER_A_STALL = 64

# Shared by all connections of the process: bytes stay here only between a read and the write that follows it.
_BUFFER = bytearray(READ_BYTES)
VIEW = memoryview(_BUFFER)


class Direction:
    """Copy from one leg to another, as far as both allow at the moment. No buffer is held unless the sink is full.

    What it holds, and what `pump` does then:

    | `_full` | `_pipe` | `blocked` | `_held` | next |
    | --- | --- | --- | --- | --- |
    | no | none | no | none | copies: reads into the shared buffer and sends from it |
    | no, yes | none | yes | bytes | sends what is held, and reads nothing before all of it has gone |
    | no, yes | none | no | none | while an urgent byte is ahead: reads up to it, or it alone (urgent.py) |
    | yes | none | no | none | borrows a pipe; copies on if it gets none |
    | yes | one | no | none | splices |
    | yes | one, filled | yes | none | splices out of the pipe, and nothing into it before it is empty |

    A sink that takes next to nothing for a second has the last state become the second (`hold_what_is_in`).

    When `over`, nothing is held and nothing moves. `_due` means that a turn is asked for, in each of these states.

    Attributes:
        moved: bytes that the sink's kernel took.
        blocked: bytes are held that the sink has no room for; go on when it is writable.
        over: nothing will be moved any more: the end of stream went on, or the relay gave the direction up.
    """

    __slots__ = (
        "_due", "_full", "_full_reads", "_held", "_held_flags", "_pipe", "blocked", "moved", "over", "relay", "sink",
        "source",
    )  # fmt: skip

    def __init__(self, source: Leg, sink: Leg, relay: Relay) -> None:
        self.source = source
        self.sink = sink
        self.relay = relay
        self.moved = 0
        self.blocked = False
        self.over = False
        self._full_reads = 0
        self._full = False
        self._due = False
        self._held: memoryview | None = None
        self._held_flags = 0  # MSG_OOB, if it is to be sent as urgent
        self._pipe: Pipe | None = None

    def pump(self) -> None:
        """Move bytes until the source is dry, the sink is full, or the turn is used up."""
        source, sink = self.source, self.sink
        if (self._full or self.blocked or self.over or source.urgent) and not self._copies_now():
            return
        recv_into, send = source.socket.recv_into, sink.socket.send
        turn_ends = self.moved + TURN_BYTES
        while source.readable:
            try:
                count = recv_into(_BUFFER)
            except OSError as error:
                self.nothing_read(error)
                return
            if count == 0:
                self.relay.read_to_end(self)
                return
            if count < READ_BYTES:
                # epoll(7): a short read means that the queue was emptied, unless its end is already in sight.
                source.readable = source.finishing
                self._full_reads *= self._full_reads < 0  # a stall is not forgotten
            else:
                self._full = self._fills()
                turn_ends = 0 if urgent.is_next(source) else turn_ends
            try:
                sent = send(VIEW[:count])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.relay.peer_gone(sink, error.errno or ECONNRESET)
                return
            self.moved += sent
            if sent < count:
                self._held = memoryview(bytes(VIEW[sent:count]))
                self.blocked = True
                return
            if self._full_reads == _FULL_READS or self.moved >= turn_ends:
                self.again()
                return

    def _copies_now(self) -> bool:
        """Do what is due before bytes are copied, or instead of it; tell whether they are to be copied now."""
        if self.over:
            return False
        if self._full and self._pipe is None and not self.blocked:
            self._pipe = None if self.source.urgent else self.relay.pipes.take(self)
        if self._pipe is not None:
            splice.step(self, self._pipe)
            return False
        if self.blocked and not self._send_held():
            return False
        if self.source.urgent:
            urgent.step(self, VIEW)
            return False
        return True

    def _fills(self) -> bool:
        """Count a read that filled the buffer; tell whether the direction runs full."""
        self._full_reads += 1
        if self._full_reads == _FULL_READS:
            tcp.stop_pacing(self.sink.socket)
        return self._full_reads >= _FULL_READS

    def begin_with(self, early: bytes) -> None:
        """Send *early*, which was read from the source already, before anything else."""
        self._held = memoryview(early)
        self.blocked = True

    def read(self, most: int = READ_BYTES) -> int:
        """Read into the shared buffer: how much, 0 at the end of stream, or -1 when there is nothing, or an error."""
        try:
            count = self.source.socket.recv_into(_BUFFER, most)
        except OSError as error:
            self.nothing_read(error)
            return -1
        if count == READ_BYTES:
            self._fills()
        elif count:
            self.source.readable = self.source.finishing or self.source.urgent
            self._full_reads *= self._full_reads < 0
        return count

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send *data*, and hold what the sink has no room for: how much went, or -1 after an error. Counts nothing."""
        try:
            sent = self.sink.socket.send(data, flags) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.relay.peer_gone(self.sink, error.errno or ECONNRESET)
            return -1
        if sent < len(data):
            self._held, self._held_flags = memoryview(bytes(data[sent:])), flags
            self.blocked = True
        return sent

    def leave_pipe(self, moved: int) -> None:
        """Give the pipe back after a turn that moved so much. A direction that still runs full will be lent another."""
        self._return_pipe()
        self._full_reads = _FULL_READS if moved >= _STILL_FULL else self._full_reads - 1
        self._full = self._full_reads > 0

    def hold_what_is_in(self, pipe: Pipe) -> None:
        """Give the pipe back whose bytes the sink does not take, and hold these instead."""
        self._held = memoryview(pipe.take_out())
        self._return_pipe()
        self._full, self._full_reads = False, _FULL_READS - _READS_AFTER_A_STALL

    def _return_pipe(self) -> None:
        if self._pipe is not None:
            self.relay.pipes.give_back(self._pipe)
            self._pipe = None

    def nothing_read(self, error: OSError) -> None:
        """Wait for the next event, unless this is how the source ends."""
        if isinstance(error, BlockingIOError):
            self.source.readable = self.source.urgent = False
        else:
            self.over = True
            self.relay.peer_gone(self.source, error.errno or ECONNRESET)

    def again(self) -> None:
        """Go on in the next turn, once: an event in between must not win this direction a second turn a round."""
        if not self._due:
            self._due = True
            self.relay.poller.call_next_turn(self.resume)

    def resume(self) -> None:
        """Go on after a turn that was used up."""
        self._due = False
        if self.over:
            return
        relay = self.relay
        try:
            self.pump()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            relay.fail(error)

    def stop(self) -> None:
        """Move nothing any more, and drop what is held."""
        self.over = True
        self.blocked = False
        self._held = None
        self._return_pipe()

    def _send_held(self) -> bool:
        """Send what the sink had no room for; tell whether all of it went."""
        held = self._held
        assert held is not None  # noqa: S101 - `blocked` says so
        try:
            sent = self.sink.socket.send(held, self._held_flags)
        except BlockingIOError:
            return False
        except OSError as error:
            self.relay.peer_gone(self.sink, error.errno or ECONNRESET)
            return False
        self.moved += sent
        if sent < len(held):
            self._held = held[sent:]
            return False
        self._held, self._held_flags = None, 0
        self.unblock()
        return True

    def unblock(self) -> None:
        """Read again: the sink has taken all that was held."""
        self.blocked = False
        if self.source.muted:
            self.source.muted = False
            self.relay.poller.unmute(self.source.socket)
