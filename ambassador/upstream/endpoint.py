"""An endpoint while it is served: what a dial chooses, misses and reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.net.address import is_ip
from ambassador.upstream.health import EndpointHealth

if TYPE_CHECKING:
    from ambassador.config.routes import Endpoint


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
    """

    __slots__ = ("health", "host", "hosts_alias", "literal", "live", "name", "port")

    def __init__(self, route: str, endpoint: Endpoint) -> None:
        self.name = str(endpoint.address)
        self.host = endpoint.address.host
        self.port = endpoint.address.port
        self.hosts_alias = endpoint.hosts_alias
        self.literal = is_ip(endpoint.address.host)
        self.health = EndpointHealth(route, self.name)
        self.live = 0
