"""The optional timeouts of a connection: idle, half-closed, and for its whole life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.metrics import End
from ambassador.net import tcp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ambassador.server.connection import Connection

# A timeout is looked for this many times while it runs, within these bounds: late by an eighth at most.
_LOOKS = 8
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
# Connections that began together do not end together: each lives up to a tenth longer, by its number.
_JITTER = 0.1
_GOLDEN_RATIO = 0.618034


def pause(timeouts: Iterable[float]) -> float:
    """Return how long to wait between two looks at all connections, given all timeouts; 0 where none is on."""
    shortest = min((seconds for seconds in timeouts if seconds), default=0.0)
    return min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, shortest / _LOOKS)) if shortest else 0.0


def cut_late(connections: Iterable[Connection], now: float) -> None:
    """Reset every connection whose time is up by its route: a cut is never an orderly end."""
    for connection in list(connections):
        end = connection.route.timeouts.over(connection, now)
        if end is not None:
            connection.cut(end)


class Timeouts:
    """Tell whose time is up on a route. All values are in seconds, and 0 is off."""

    def __init__(self, *, idle: float, half_close: float, lifetime: float) -> None:
        self.idle = idle
        self.half_close = half_close
        self.lifetime = lifetime

    def over(self, connection: Connection, now: float) -> End | None:
        """Return the end that a connection has come to, if it has."""
        if self.lifetime and now - connection.started >= self.lifetime * _stretch(connection.id):
            return End.MAX_LIFETIME
        relay = connection.relay
        if relay is None or relay.over or not (self.idle or self.half_close):
            return None
        # What the kernel still delivers is movement, too: a slow reader is not idle.
        queued = tcp.unacknowledged(relay.client.socket), tcp.unacknowledged(relay.upstream.socket)
        # An end of stream is movement as well: the time of a half-close begins with it.
        progress = (relay.up.moved, relay.down.moved, relay.up.over, relay.down.over, *queued)
        if progress != connection.progress:
            connection.progress = progress
            connection.quiet_since = now
            return None
        quiet = now - connection.quiet_since
        if self.half_close and relay.up.over != relay.down.over and quiet >= self.half_close:
            return End.HALF_CLOSE_TIMEOUT
        return End.IDLE_TIMEOUT if self.idle and quiet >= self.idle else None


def _stretch(number: int) -> float:
    return 1.0 + _JITTER * (number * _GOLDEN_RATIO % 1.0)
