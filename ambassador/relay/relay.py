"""Both ways of a relay, and how it ends.

The order of an ending, for a client C and an upstream U (and the same with the ends swapped):

- C's end of stream goes to U when every byte before it has gone; U's way lives on until its own end. Then both
  sockets are closed, after the peers' kernels have taken what was sent.
- A reset from C: what came before it still goes to U, nothing more goes to C. When U's kernel has acknowledged all of
  it (a reset discards the send queue), or has taken nothing for `RESET_PATIENCE`, U is reset.

Who ends what, and what the owner hears:

- `read_to_end`, of a direction at its source's end of stream: passes that on; after both, both sockets are closed in
  order, and the owner hears `relay_over` with `closed`.
- `peer_gone`, of a leg or a direction at an error, of the sweep at long silence: the other socket is reset once it has
  what came before; the owner hears `relay_over`.
- `cut`, of whoever knows why (drain, timeout, admin): both are reset at once; the owner hears nothing.
- `fail`, of whoever catches an error of ours: both are reset at once, unless they are closed; it hears `relay_failed`.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.net import tcp
from ambassador.net.tcp import reset_on_close
from ambassador.relay.direction import Direction
from ambassador.relay.encrypted import Decrypt, Encrypt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ambassador.net.poller import Poller
    from ambassador.relay.leg import Leg
    from ambassador.relay.pipes import Pipes

# A reset waits for queued bytes as long as they move. A reader that takes nothing for this long would, without us,
# have had its kernel's queue to read and then the reset; that is what it gets.
RESET_PATIENCE = 5.0
# How often a wait looks at the send queue: often at first, because an acknowledgement is mostly milliseconds away.
_FIRST_LOOK = 0.001
_LONGEST_LOOK = 0.25
# A stream as short as this is in the peer's kernel long before anything could keep it: no look at the queue is due.
_SHORT_STREAM = 4096
_UNHEARD = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class RelayOwner(Protocol):
    """Who started a relay, and learns once how it ended."""

    def relay_over(self, end: End, reason: str = "") -> None:
        """Take note that both sockets are closed, and why: an `end` of the access log."""

    def relay_failed(self, error: Exception) -> None:
        """Take note that both sockets are closed because of an error of our own; may come after `relay_over`."""


def choose(source: Leg, sink: Leg, relay: Relay) -> Direction:
    """Make the direction that fits two legs, of which one at most is in a tunnel. The one place that knows them all."""
    if sink.codec is not None:
        return Encrypt(source, sink, relay, sink.codec)
    if source.codec is not None:
        return Decrypt(source, sink, relay, source.codec)
    return Direction(source, sink, relay)


class Relay:
    """Relay between two connected, non-blocking sockets that are registered with *poller*, and close both.

    Attributes:
        up: the direction from client to upstream; `up.moved` counts its bytes.
        down: the direction from upstream to client.
        over: both sockets are closed.
    """

    __slots__ = (
        "_lost", "_progress", "_since", "_timer", "client", "down", "over", "owner", "pipes", "poller", "up",
        "upstream",
    )  # fmt: skip

    def __init__(self, client: Leg, upstream: Leg, poller: Poller, pipes: Pipes, owner: RelayOwner) -> None:
        self.client = client
        self.upstream = upstream
        self.poller = poller
        self.pipes = pipes
        self.owner = owner
        self.over = False
        self.up = choose(client, upstream, self)
        self.down = choose(upstream, client, self)
        for leg, outbound, inbound in ((client, self.up, self.down), (upstream, self.down, self.up)):
            leg.relay, leg.outbound, leg.inbound = self, outbound, inbound
        self._lost: Leg | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._progress = (0, 0)
        self._since = 0.0

    def start(self) -> None:
        """Begin with what has come so far; from here on events drive the relay."""
        for leg in (self.client, self.upstream):
            self.poller.set_handler(leg.socket, leg.on_events)
        try:
            self._begin()
        except Exception as error:  # noqa: BLE001 - a connection ends here, the process does not
            self.fail(error)

    def _begin(self) -> None:
        if self.client.error:
            tcp.acknowledge(self.upstream.socket)  # a server sees a client that comes and is reset, not nobody
        for leg in (self.client, self.upstream):
            if leg.error and not self.over:
                self.peer_gone(leg, leg.error)
            # Early data and the rest of a handshake wait for no event.
            if not self.over and (leg.readable or leg.outbound.blocked or leg.codec):
                leg.outbound.resume()
        if not self.over:
            # The dial left that to the first bytes. A server that speaks first waits for it, and so does a SYN proxy,
            # which opens no window before, so that no byte has left by now.
            tcp.acknowledge(self.upstream.socket)

    def cut(self) -> None:
        """End both sides by a reset, at once. Reports nothing: whoever cuts knows why."""
        self._close(reset=(self.client, self.upstream))

    def fail(self, error: Exception) -> None:
        """End both sides by a reset, because of an error of our own, and say so even if they were ended before."""
        if not self.over:
            self.cut()
        self.owner.relay_failed(error)

    def peer_gone(self, leg: Leg, error: int) -> None:
        """Treat the peer of *leg* as gone: nothing goes there any more, what it sent before still goes on."""
        leg.error = leg.error or error
        leg.readable = leg.finishing = True
        if self._lost is None:
            self._lost = leg
            leg.inbound.stop()
            leg.outbound.resume()
            self._since = self.poller.loop.time()
        elif self._lost is leg:
            leg.outbound.resume()
        else:
            self._close(reset=(self.client, self.upstream))
            self._report()
        if not self.over:
            self._reset_when_delivered(_FIRST_LOOK)

    def read_to_end(self, direction: Direction) -> None:
        """Take note that all was moved one way, up to the source's end of stream or error."""
        direction.stop()
        if direction.source.error:
            if direction.source.error == errno.EPIPE:
                # The reset came after an end of stream (the kernel says ECONNRESET otherwise), which still goes first.
                self._shut(direction.sink)
            return  # `_reset_when_delivered` ends this relay
        if not direction.sink.outbound.over:
            self._shut(direction.sink)
        elif self.up.moved <= _SHORT_STREAM and self.down.moved <= _SHORT_STREAM:
            self._close()
            self.owner.relay_over(End.CLOSED)
        else:
            self._shut(direction.sink)
            self._close_when_delivered(_FIRST_LOOK)

    def _shut(self, leg: Leg) -> None:
        """Pass end of stream on. A leg that is broken already will say so by an event."""
        try:
            leg.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _close_when_delivered(self, delay: float) -> None:
        """Close when nothing is left to send: a queue without a process is given up sooner, or with its container."""
        if any(tcp.unacknowledged(leg.socket) > 1 for leg in (self.client, self.upstream)):
            self._look_again(self._close_when_delivered, delay)
        else:
            self._close()
            self.owner.relay_over(End.CLOSED)

    def _reset_when_delivered(self, delay: float) -> None:
        """Reset the other side, as the lost one was, once it has all that came before or takes nothing any more."""
        lost = self._lost
        assert lost is not None  # noqa: S101 - `lose` says so
        other = self.upstream if lost is self.client else self.client
        left = tcp.unacknowledged(other.socket)
        now = self.poller.loop.time()
        if self._progress != (left, lost.outbound.moved):
            self._progress = (left, lost.outbound.moved)
            self._since = now
        # Of a peer that nobody heard of for long no end will be read; there is nothing more when nothing is readable.
        delivered = lost.outbound.over or not (lost.readable or lost.outbound.blocked)
        if (left == 0 and delivered) or now - self._since >= RESET_PATIENCE:
            # The lost one, too: it may be alive, and only have broken the tunnel's rules.
            self._close(reset=(other, lost))
            self._report()
        else:
            self._look_again(self._reset_when_delivered, delay)

    def _look_again(self, look: Callable[[float], None], delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.poller.loop.call_later(delay, look, min(2 * delay, _LONGEST_LOOK))

    def _report(self) -> None:
        lost = self._lost
        assert lost is not None  # noqa: S101 - `lose` says so
        reason = lost.codec.broken if lost.codec is not None else ""
        if lost.codec is not None and reason:
            end = End.HANDSHAKE_FAILED if lost.codec.refused else End.PROTOCOL_ERROR
        elif lost.error in _UNHEARD:
            end = End.PEER_DEAD
        else:
            end = End.CLIENT_RESET if lost is self.client else End.UPSTREAM_RESET
        self.owner.relay_over(end, reason)

    def _close(self, *, reset: tuple[Leg, ...] = ()) -> None:
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        for leg in reset:
            reset_on_close(leg.socket)
        for leg in (self.client, self.upstream):
            self.poller.close(leg.socket)
            leg.readable = False
            leg.outbound.stop()
        # What is left holds no circle, so that it is freed now and not by the next round of the garbage collector.
        for leg in (self.client, self.upstream):
            del leg.outbound.relay, leg.relay, leg.outbound, leg.inbound
