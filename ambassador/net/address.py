"""Addresses as configuration and logs write them: HOST:PORT, with IPv6 in brackets (RFC 3986, section 3.2.2)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port.

    Attributes:
        host: a name, or an IP address without brackets; empty for every address of this machine, to listen on.
        port: 0 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Write HOST:PORT, which `config.addresses` reads back."""
        return written(self.host, self.port)


def written(host: str, port: int) -> str:
    """Write HOST:PORT without making an `Address` of it first."""
    return f"{bracketed(host)}:{port}"


def listen_text(address: Address) -> str:
    """Write a listen address for people: `*:PORT` where it is every address of this machine."""
    return written(address.host or "*", address.port)


def bracketed(host: str) -> str:
    """Put an IPv6 address in brackets, and leave every other host as it is."""
    return f"[{host}]" if ":" in host else host


def is_ip(host: str) -> bool:
    """Tell whether *host* is an IPv4 or IPv6 address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def unmapped(host: str) -> str:
    """Write an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) as the IPv4 address that it is."""
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    return host
