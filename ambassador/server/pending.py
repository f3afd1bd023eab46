"""Who is not admitted yet: how many may be, and who goes when there are more."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ambassador.server.connections import Connections

# As many may be at it at once who have sent something, and no more than a quarter of all connections: each may hold a
# handshake's memory. A burst of that many true clients still has time to prove itself.
MOST_PENDING: Final = 1024
# And so many with those who have sent nothing yet, whose cost is a descriptor and 3 KiB. A far client's first bytes
# may come a round trip after it was accepted: the more silent ones are held, the more may come in that time.
_MOST: Final = 4 * MOST_PENDING


class Candidate(Protocol):
    """A client that is to be admitted.

    Attributes:
        network: where it comes from, see `network_of`.
    """

    network: bytes

    def crowded_out(self) -> None:
        """Refuse the client, so that others get their turn."""


def network_of(host: str) -> bytes:
    """Return the network that an IP address counts for: a /24 of IPv4, a /64 of IPv6, which one host may have whole."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
    return socket.inet_aton(host)[:3]


class _Class:
    """Some of the candidates, by their networks; in each, whoever came first is first."""

    def __init__(self) -> None:
        self.count = 0
        self._networks: dict[bytes, dict[Candidate, None]] = {}

    def add(self, candidate: Candidate) -> None:
        self._networks.setdefault(candidate.network, {})[candidate] = None
        self.count += 1

    def remove(self, candidate: Candidate) -> bool:
        """Let go of a candidate; tell whether it was here."""
        members = self._networks.get(candidate.network)
        if members is None or candidate not in members:
            return False
        del members[candidate]
        if not members:
            del self._networks[candidate.network]
        self.count -= 1
        return True

    def least(self) -> Candidate:
        """Return the one to go: of the network that has most here, who has been here for longest."""
        members: dict[Candidate, None] = max(self._networks.values(), key=len)
        return next(iter(members))


class Pending:
    """The admissions that are under way, of all routes of a process.

    At most *most* of them have sent something. All together leave a third of the places that relays do not need to
    others. Beyond that those go first who have sent nothing yet, and then one of the network that has most of
    them: never the newcomer.
    """

    def __init__(self, most: int, connections: Connections) -> None:
        self._most = most
        self._connections = connections
        self._silent, self._speaking = _Class(), _Class()

    def add(self, candidate: Candidate) -> None:
        """Hold one that has sent nothing yet."""
        self._silent.add(candidate)
        count = self._silent.count + self._speaking.count
        if count > 1 and count > self._room(count):
            (self._silent if self._silent.count > 1 else self._speaking).least().crowded_out()

    def speaks(self, candidate: Candidate) -> None:
        """Take note that one has sent something."""
        if self._silent.remove(candidate):
            self._speaking.add(candidate)
            if self._speaking.count > self._most:
                self._speaking.least().crowded_out()

    def remove(self, candidate: Candidate) -> None:
        """Let go of one that is admitted, refused, or gone."""
        if not self._silent.remove(candidate):
            self._speaking.remove(candidate)

    def _room(self, count: int) -> int:
        """Return how many there may be now that there are *count*."""
        limit = self._connections.limit
        if limit is None:
            return _MOST
        return min(_MOST, (limit - len(self._connections.live) + count) * 2 // 3)
