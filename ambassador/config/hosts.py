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
    """Yield the address and the names of each line, names in lower case. An address with a zone is left out.

    As bytes, whose white space and capitals are ASCII's, as they are to the C library: only a line feed ends a line or
    a comment, and a zero byte ends what is seen of a line.
    """
    for line in text.encode("utf-8", "replace").split(b"\n"):
        first, *names = line.partition(b"\0")[0].partition(b"#")[0].split() or [b""]
        address = canonical_ip(first.decode())
        if address is not None and "%" not in address and names:
            yield address, tuple(name.lower().decode() for name in names)
