"""Dials that lead back to this very process, and would go round without end.

An upstream that is a listener of ours is refused before it is dialled. One that address translation brings back here
(a published port, a Service that selects this pod) is found by its connections: each is the dial of the one before.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import structlog

from ambassador.net.address import unmapped
from ambassador.net.local import LocalAddresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ambassador.config.routes import Route
    from ambassador.net.address import Address
    from ambassador.server.connection import Connection
    from ambassador.server.connections import Connections

log = structlog.get_logger()

# To connect to the unspecified address is to connect to this machine (ip(7)).
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}
# Of four thousand clients at once, one in seven was seen to share its port with a dial; six in a row do not.
_LOOP_HOPS = 6
# A dial that comes back is accepted in the turn in which it was begun or in the next, and a turn accepts 64 clients.
_LOOP_CANDIDATES = 128


class SelfDials:
    """Know where this process listens, and which of its clients may be its own dials.

    *reach* is how long after a connection's start, in seconds, its dial may be accepted.
    """

    def __init__(self, connections: Connections, *, reach: float) -> None:
        self._connections = connections
        self._reach = reach
        self._local = LocalAddresses()
        self._listens: set[tuple[str, int]] = set()
        self._wide_ports: tuple[set[int], set[int]] = (set(), set())
        self._logged: set[str] = set()

    def set_listeners(self, addresses: Iterable[Address]) -> None:
        """Learn where this process listens; an empty host is every address."""
        own = list(addresses)
        self._listens = {(address.host, address.port) for address in own}
        # At every address: of IPv4, which is what a listener at all of IPv6 takes, too, and of IPv6.
        every_ipv4, every_ipv6 = (
            {address.port for address in own if address.host in every} for every in (("", "::", "0.0.0.0"), ("", "::"))
        )
        self._wide_ports = (every_ipv4, every_ipv6)

    def listens_at(self, host: str, port: int) -> bool:
        """Tell whether the IP address *host* and *port* lead to a listener of this process."""
        host = unmapped(host)
        host = _UNSPECIFIED.get(host, host)
        if (host, port) in self._listens:
            return True
        return port in self._wide_ports[":" in host] and self._local.has(host)

    def refusal(self, route: Route, address: str) -> str:
        """Say in the log, once a route, that *route* leads to *address*, which is ours; return the reason."""
        if route.name not in self._logged:
            self._logged.add(route.name)
            log.error("route.dials_itself", route=route.name, address=address, variable=route.source)
        return f"{address} is a listener of this ambassador itself"

    def looped_from(self, peer: tuple[str, int]) -> Connection | None:
        """Return the connection whose dial *peer*, just accepted, may be, brought back by address translation.

        Clients on the loopback interface are not looked at: dials to it are refused beforehand.
        """
        if peer[0] == "::1" or peer[0].startswith("127.") or not self._local.has(peer[0]):
            return None
        # Only a dial that has just begun, or just got through, is accepted now: of thousands a few are to be asked.
        begun = time.monotonic() - self._reach
        for connection in itertools.islice(reversed(self._connections.live.values()), _LOOP_CANDIDATES):
            if connection.started < begun:
                break
            sock = connection.upstream_socket
            if sock is not None and sock.getsockname()[:2] == peer:
                return connection
        return None

    def ends_loop(self, last: Connection) -> bool:
        """End a row of connections each of which is the dial of the one before; tell whether there was one.

        An address alone proves nothing: the kernel gives clients of this machine the ports that it gives to our own
        dials, if they go elsewhere. But that happens once, and not to each of a row.
        """
        row = [last]
        while row[-1].looped_from is not None:
            row.append(row[-1].looped_from)
        if len(row) < _LOOP_HOPS:
            return False
        for connection in row:
            route = connection.route.configured
            connection.refuse(self.refusal(route, connection.upstream or route.source))
        return True
