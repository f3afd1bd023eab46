"""The places for clients: how many a route may have, and how many of them while they wait for an upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ambassador.server.connections import Connections


class Cap(Protocol):
    """The most clients that a route may have.

    Attributes:
        shared: other processes take of it as well, and nobody tells when they make room.
    """

    shared: bool

    def take(self) -> bool:
        """Take a place, if there is one."""

    def give(self) -> None:
        """Give a place back."""


class OwnCap:
    """The cap of a route that one process alone serves."""

    shared = False

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def take(self) -> bool:
        """Take a place, if there is one."""
        if self._taken >= self._limit:
            return False
        self._taken += 1
        return True

    def give(self) -> None:
        """Give a place back."""
        self._taken -= 1


class Places:
    """The places of one route's clients among all of the process.

    A client takes one, waits (for its admission and its dial), relays perhaps, and leaves. Those who wait have no more
    than their route's share of what relays leave free: clients of an upstream that is away gather, and must not be in
    the way of another route's.
    """

    def __init__(self, connections: Connections, cap: Cap | None = None) -> None:
        self._connections = connections
        self._cap = cap
        self.waiting = 0
        self.shared = cap is not None and cap.shared

    def take(self) -> bool:
        """Take a place for the next client, if there is one."""
        connections = self._connections
        if connections.full() or (connections.routes > 1 and self.waiting >= connections.share()):
            return False
        return self._cap is None or self._cap.take()

    def untake(self) -> None:
        """Give back a place that nobody came for."""
        if self._cap is not None:
            self._cap.give()

    def waits(self) -> None:
        """Take note of a client that has taken its place."""
        self.waiting += 1
        self._connections.waiting += 1

    def relays(self) -> None:
        """Take note of a client that waits no longer; its share may be another's."""
        self._no_longer_waits()
        self._connections.tell_of_room()

    def leave(self, *, waiting: bool) -> None:
        """Take note of a client that is over, perhaps while it was *waiting*."""
        if waiting:
            self._no_longer_waits()
        if self._cap is not None:
            self._cap.give()

    def _no_longer_waits(self) -> None:
        self.waiting -= 1
        self._connections.waiting -= 1
