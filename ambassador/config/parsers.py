"""The values of settings, each from its text. Every function here raises `Invalid` for a text that it cannot use."""

from __future__ import annotations

import ipaddress
import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

from ambassador.config.addresses import canonical_ip, host_name, listen_address, listen_host, without_covered
from ambassador.config.problems import Invalid, left_in, quoted
from ambassador.net.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
# A number of seconds, or hours, minutes, seconds and milliseconds in this order.
_DURATION = re.compile(f"{_NUMBER}|(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit in ("h", "m", "s", "ms")))
_SECONDS = (1.0, 3600.0, 60.0, 1.0, 0.001)
_LIKE_DURATIONS = "expected a duration like 250ms, 10s, 5m or 1h"
# What the kernel accepts for TCP_KEEPIDLE (tcp(7)), in seconds.
_KEEPALIVE = (1.0, 32767.0)
# More than any machine has cores; a typing error must not start a million processes.
_MOST_WORKERS = 1024
# A bearer token is guessed over the network: 16 characters are 64 bits even when they are hexadecimal digits.
_SHORTEST_TOKEN = 16
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+", re.IGNORECASE)
# IPv6 networks within this one are IPv4 networks (RFC 4291, section 2.5.5.2).
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_duration(text: str) -> float:
    """Read a duration, returned in seconds."""
    match = _DURATION.fullmatch(text.lower())
    if not match:
        raise Invalid("invalid duration", f"{_LIKE_DURATIONS}, or 0 for off")
    return sum(float(number) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True) if number)


def positive_duration(text: str) -> float:
    """Read a duration that cannot be 0, returned in seconds."""
    seconds = parse_duration(text)
    if not seconds:
        raise Invalid("must not be 0", _LIKE_DURATIONS)
    return seconds


def keepalive(text: str) -> float:
    """Read how long a connection is idle before the kernel probes it, returned in seconds; 0 is never."""
    seconds = parse_duration(text)
    least, most = _KEEPALIVE
    if seconds and not least <= seconds <= most:
        raise Invalid("out of range", f"expected {least:g}s to {most:g}s, or 0 for no keepalive")
    return seconds


def choice(*options: str) -> Callable[[str], str]:
    """Return a function that reads one of *options*, which are in lower case; the text may be in any."""

    def read(text: str) -> str:
        if text.lower() not in options:
            raise Invalid("unknown value", f"expected {', '.join(options[:-1])} or {options[-1]}")
        return text.lower()

    return read


def on_off(text: str) -> bool:
    """Read `on` or `off`."""
    return choice("on", "off")(text) == "on"


def connections(text: str) -> int | None:
    """Read how many connections there may be; None for `auto`, as many as the open-files limit allows."""
    if text.lower() == "auto":
        return None
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise Invalid("invalid number of connections", "expected a whole number from 1 to 999999999")
    return int(text.lstrip("0"))


def workers(text: str) -> int:
    """Read the number of processes; 0 stands for `auto`, one per core."""
    if text.lower() == "auto":
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or int(text) > _MOST_WORKERS:
        raise Invalid("invalid number of processes", f"expected 1 to {_MOST_WORKERS}, or auto for one per core")
    return int(text)


def bind_hosts(text: str) -> tuple[str, ...]:
    """Read listen addresses, an empty one for every address; one that another covers is dropped."""
    return without_covered(tuple(listen_host(host) for host in _items(text, "10.0.0.7,[fd00::7]")))


def admin_address(text: str) -> Address | None:
    """Read the admin address; None if it is `off`."""
    if text.lower() == "off":
        return None
    host, port = listen_address(text, like="ADDRESS:PORT, such as 127.0.0.1:9901 or *:9901, or off")
    if ":" not in text:
        raise Invalid("missing address", f"write 127.0.0.1:{port}, or *:{port} for every address, or off")
    return Address(host or "", port)


def admin_token(text: str) -> str:
    """Read a bearer token. No error repeats any of it."""
    if text[0] == text[-1] and text[0] in "\"'":
        raise Invalid("quotes around it", "remove the quotes")
    if len(text) < _SHORTEST_TOKEN:
        raise Invalid(f"shorter than {_SHORTEST_TOKEN} characters", "make one with: openssl rand -hex 16")
    if not re.fullmatch(r"[!-~]+", text):
        raise Invalid("characters that an HTTP header cannot hold", "make one with: openssl rand -hex 16")
    return text


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read networks (CIDRs); an address is a network of one."""
    return tuple(map(_network, _items(text, "10.0.0.0/8,fd00::/8")))


def networks_or(none: str) -> Callable[[str], tuple[IPv4Network | IPv6Network, ...]]:
    """Return a function that reads networks, or the word *none* for the default, which is that none are named."""
    return lambda text: () if text.lower() == none else networks(text)


def peers(text: str) -> tuple[str, ...]:
    """Read the DNS or URI names of a tunnel's peers, or `off`: none are named, the default."""
    if text.lower() == "off":
        return ()
    return tuple(map(_peer, _items(text, "ambassador.example,spiffe://example/ambassador")))


def path(text: str) -> Path:
    """Read the path of a file."""
    if "\0" in text or not _encodable(text):
        raise Invalid("invalid character in a path", "write the path of a file")
    left = left_in(text)
    if left is not None and (text[0] in "\"'" or "quotes" not in left.wrong):
        raise left  # nothing else would say why there is no such file
    return Path(text)


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _items(text: str, like: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise Invalid("empty item in the list", f"expected a list like {like}")
    return items


def _network(text: str) -> IPv4Network | IPv6Network:
    wrong = Invalid(f"invalid network {quoted(text)}", "expected networks like 10.0.0.0/8 or fd00::/8")
    # ipaddress would accept a netmask or a zone as well.
    match = re.fullmatch(r"([0-9a-f:.]+)(/[0-9]{1,3})?", text, re.IGNORECASE)
    if not match:
        raise wrong
    address, length = match.groups()
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise wrong from None
    if length and network.network_address != ipaddress.ip_address(address):
        either = f"write {network} for the whole network, or {address} for this address"
        raise Invalid(f"{quoted(text)} is an address inside a network", either)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def _peer(text: str) -> str:
    if canonical_ip(text) is not None:
        raise Invalid(f"{quoted(text)} is an address", "expected DNS or URI names of the peer's certificate")
    if _URI.fullmatch(text):
        return text
    try:
        return host_name(text)
    except Invalid:
        right = "expected full names, like ambassador.example or spiffe://example/ambassador"
        raise Invalid(f"invalid DNS or URI name {quoted(text)}", right) from None
