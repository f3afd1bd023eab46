"""The result of a configuration: routes, and what became of each variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ambassador.net.address import Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of an upstream.

    Attributes:
        hosts_alias: what a dial looks up in /etc/hosts first, which Docker keeps up to date; None without a link of
            Docker's.
    """

    address: Address
    hosts_alias: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Listen addresses and the endpoints behind them, tried in order.

    Attributes:
        name: what logs and metrics call it; unique in a configuration.
        alias: of the link, in lower case; None without one.
        listen: where it listens; an empty host is every address, IPv4 and IPv6.
        source: the variable that it comes from, or "argument".
        address: where its LISTEN says that it listens; empty where it names no address.
    """

    name: str
    alias: str | None
    listen: tuple[Address, ...]
    endpoints: tuple[Endpoint, ...]
    source: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a variable that looks like a link, or of an explicit route.

    Attributes:
        value: as written, but fit to be shown: one line, without passwords.
        route: the name of the route that it is part of; None if it is ignored.
        reason: why it is ignored, or a remark on the route; may be empty.
    """

    variable: str
    value: str
    route: str | None
    reason: str
