"""The text of a hosts file (hosts(5)): names to addresses, including what Docker writes there for links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.config.addresses import canonical_ip

if TYPE_CHECKING:
    from collections.abc import Iterator


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of each name, in the order of the file. Names are in lower case: DNS ignores case.

    A line that is not in the form of hosts(5) is ignored, as the C library does.
    """
    addresses: dict[str, dict[str, None]] = {}
    for address, names in hosts_lines(text):
        for name in names:
            addresses.setdefault(name, {})[address] = None
    return {name: tuple(found) for name, found in addresses.items()}


def hosts_lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the address and the names of each line, names in lower case. An address with a zone is left out."""
    for line in text.splitlines():
        first, *names = line.partition("#")[0].split() or [""]
        address = canonical_ip(first)
        if address is not None and "%" not in address and names:
            yield address, tuple(name.lower() for name in names)
