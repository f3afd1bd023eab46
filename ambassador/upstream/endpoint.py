"""An endpoint while it is served: what a dial chooses, misses and reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.net.address import is_ip
from ambassador.upstream.eject import Ejection
from ambassador.upstream.health import EndpointHealth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.config.routes import Endpoint


# A name that answers with other addresses each time must not fill the memory.
_MOST_KNOWN = 64


class KnownAddress:
    """What is remembered of one address of a name, from dial to dial.

    Attributes:
        connect_seconds: how long the last connect there took; 0 before the first.
    """

    __slots__ = ("connect_seconds", "ejection")

    def __init__(self) -> None:
        self.connect_seconds = 0.0
        self.ejection = Ejection()


class ServedEndpoint:
    """One endpoint of a served route, known by itself and not by its place in a list, which may change.

    Attributes:
        name: HOST:PORT as it was written; what logs, metrics and `/status` call it.
        host: an IP address or a name.
        port: the TCP port.
        hosts_alias: what to look up in /etc/hosts before *host*; None where Docker made no link.
        literal: *host* is an IP address, so that there is nothing to look up.
        health: how it fares.
        live: how many connections and dials have chosen it, each from its choice on.
        ejection: whether it stands back behind the others of its route.
    """

    __slots__ = ("_known", "ejection", "health", "host", "hosts_alias", "literal", "live", "name", "port")

    def __init__(self, route: str, endpoint: Endpoint) -> None:
        self.name = str(endpoint.address)
        self.host = endpoint.address.host
        self.port = endpoint.address.port
        self.hosts_alias = endpoint.hosts_alias
        self.literal = is_ip(endpoint.address.host)
        self.health = EndpointHealth(route, self.name)
        self.live = 0
        self.ejection = Ejection()
        self._known: dict[str, KnownAddress] = {}

    def known(self, address: str) -> KnownAddress:
        """Return what is remembered of an address of its name."""
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[address] = KnownAddress()
        return known

    def in_order(self, addresses: Sequence[str], now: float) -> list[str]:
        """Return the addresses of its name, those that stand back last, or as they are where all do."""
        back = [address for address in addresses if self.known(address).ejection.stands_back(now)]
        return [*(address for address in addresses if address not in back), *back]
