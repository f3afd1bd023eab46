"""The live connections of a process: how many may be, and who has been quiet for too long."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from ambassador.net import tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.metrics import End
    from ambassador.server.connection import Connection

# A peer is dead when nothing was heard of it for this long although it owes an answer. TCP itself would try for a
# quarter of an hour (tcp_retries2, tcp(7)); an outage of half a minute must be survived.
DEAD_AFTER = 60.0
# Each connection is asked once in so many sweeps: asking costs two system calls.
_SWEEPS_A_ROUND = 10


class Connections:
    """Hold every connection from its admission to its end.

    Attributes:
        live: the connections by their numbers.
        limit: how many there may be; None is no limit.
        routes: how many routes have a share of them.
        waiting: how many of them do not relay yet.
    """

    def __init__(self, limit: int | None = None, *, routes: int = 1) -> None:
        self.live: dict[int, Connection] = {}
        self.limit = limit
        self.routes = routes
        self.waiting = 0
        self.on_room: list[Callable[[], None]] = []
        self.on_empty: Callable[[], None] | None = None
        self._sweeps = 0

    def full(self) -> bool:
        """Tell whether another client has to wait in the accept queue."""
        return self.limit is not None and len(self.live) >= self.limit

    def share(self) -> int:
        """Return how many clients of one route may wait at a time: its part of what relays leave free."""
        if self.limit is None:
            return sys.maxsize
        return max(1, (self.limit - len(self.live) + self.waiting) // self.routes)

    def add(self, connection: Connection) -> None:
        """Hold a connection."""
        self.live[connection.id] = connection

    def remove(self, connection: Connection) -> None:
        """Let go of a connection that has ended; those who waited for room are told."""
        del self.live[connection.id]
        self.tell_of_room()
        if not self.live and self.on_empty is not None:
            self.on_empty()

    def tell_of_room(self) -> None:
        """Tell those who waited for room that there may be some."""
        if self.on_room:
            waiting, self.on_room = self.on_room, []
            # Another one first than last time: who is told first takes the place, and is the first to wait again.
            for call in waiting[1:] + waiting[:1]:
                call()

    def cut_all(self, end: End) -> int:
        """End every connection by a reset; return how many there were."""
        count = len(self.live)
        for connection in list(self.live.values()):
            connection.cut(end)
        return count

    def sweep(self, now: float) -> None:
        """Look for peers that are dead, which neither an event nor keepalive tells while data is in flight."""
        self._sweeps += 1
        turn = self._sweeps % _SWEEPS_A_ROUND
        for connection in list(self.live.values()):
            # Not at the start: most connections are over before keepalive would mean anything to them.
            _keep_alive(connection)
            # By tens, since the numbers of one worker of several go in strides.
            if connection.id // _SWEEPS_A_ROUND % _SWEEPS_A_ROUND == turn:
                _look_for_death(connection, now)


def _keep_alive(connection: Connection) -> None:
    """Turn keepalive on towards the upstream; the client's socket has it from its listener."""
    if connection.relay is not None and not connection.kept_alive:
        connection.kept_alive = True
        sock = connection.relay.upstream.socket
        tcp.bound_backoff(sock)
        if connection.route.keepalive:
            tcp.set_keepalive(sock, connection.route.keepalive)


def _look_for_death(connection: Connection, now: float) -> None:
    relay = connection.relay
    if relay is None or relay.over:
        return
    for leg in (relay.client, relay.upstream):
        silence = tcp.silence(leg.socket)
        if not silence.unanswered:
            leg.silent_since = None
        elif leg.silent_since is None or now - leg.silent_since > silence.heard:
            # Only from now on is an answer known to be owed: before, there may have been nothing to say.
            leg.silent_since = now
        elif now - leg.silent_since >= DEAD_AFTER:
            relay.peer_gone(leg, errno.ETIMEDOUT)
            return
