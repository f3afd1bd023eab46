"""HOST:PORT as users write it, read strictly: what is almost right is refused, with the right way to write it."""

from __future__ import annotations

import ipaddress
import re

from ambassador.config.problems import Invalid, quoted
from ambassador.net.address import MAX_PORT, Address, bracketed

EVERY_IPV4 = "0.0.0.0"
# Characters. Longer names cannot be looked up (RFC 1035, section 2.3.4).
_LONGEST_NAME = 253
# Host names (RFC 1123, section 2.1), and underscores, which container names have.
_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
# The C library takes 10.1 and 0x7f.1 for addresses (inet_aton(3)), which is hardly ever what is meant; what has another
# label, as app.web.1 and postgres-15.3 have, is a name to it.
_NUMERIC = re.compile(r"(([0-9]+|0x[0-9a-f]*)\.)*([0-9]+|0x[0-9a-f]*)\.?")
# What stands for a dot in the name of a domain (RFC 3490, section 3.1).
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_BRACKETS = re.compile(r"\[([^\[\]]*)\](:.*)?", re.DOTALL)


def canonical_ip(text: str) -> str | None:
    """Write an IP address in its usual form (RFC 5952), an IPv4-mapped one as IPv4; None if it is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def port_number(text: str) -> int:
    """Read a port.

    Raises:
        Invalid: *text* is not a number from 1 to 65535.
    """
    # Not all digits: int() refuses thousands of them.
    number = int(text.lstrip("0")[:6] or "0") if _is_number(text) else 0
    if not 1 <= number <= MAX_PORT:
        raise Invalid(f"invalid port {quoted(text)}", f"expected a number from 1 to {MAX_PORT}")
    return number


def host_name(text: str) -> str:
    """Read the host of an upstream: an IP address, or a name, which is returned in lower case and in ASCII (A-labels).

    Raises:
        Invalid: *text* is neither.
    """
    address = canonical_ip(text)
    if address is not None:
        return _without_zone(address)
    name = text.lower() if text.isascii() else _in_ascii(text)
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise Invalid(
            f"invalid host {quoted(text)}", "expected an address or a name, like 10.0.0.7, [fd00::7] or redis.example"
        )
    if _NUMERIC.fullmatch(name):
        raise Invalid(f"invalid IPv4 address {quoted(text)}", "expected four numbers, like 10.0.0.7")
    return name


def _in_ascii(text: str) -> str:
    """Write an internationalised name as name servers know it: in A-labels (IDNA 2008, after the mapping of UTS 46)."""
    import idna  # large, and seldom needed

    try:
        labels = [
            label.lower() if label.isascii() else idna.encode(label, uts46=True).decode("ascii")
            for label in _DOTS.split(text)
        ]
    except (idna.IDNAError, UnicodeError):
        return ""
    return ".".join(labels)


def upstream_address(text: str, *, scheme: str = "", port: str = "PORT") -> Address:
    """Read HOST:PORT. *scheme* and *port* are for the advice: what is written before it, and the likely port.

    Raises:
        Invalid: *text* is not HOST:PORT.
    """
    clean = re.split(r"[/?#]", text, maxsplit=1)[0]
    if clean != text:
        raise Invalid("unexpected path or query", f"write {scheme}{_in_order(clean) or f'HOST:{port}'}")
    host, port_text = ("", text) if _is_number(text) else _split(text, scheme=scheme, port=port)
    if not host:
        raise Invalid("missing host", f"write {scheme}HOST:{port_text if _is_port(port_text) else port}")
    host = host_name(host)
    if not port_text:
        raise Invalid("missing port", f"write {scheme}{bracketed(host)}:{port}")
    return Address(host, port_number(port_text))


def listen_host(text: str, *, port: str = "") -> str:
    """Read an address to listen on; `*` and `::` give the empty host, which stands for every address.

    Linux accepts IPv4 on `::` as well (ipv6(7), IPV6_V6ONLY), so both mean the same. *port*, with its colon, is for the
    advice.

    Raises:
        Invalid: *text* is not an address. A name is refused: it may have several addresses, or none tomorrow.
    """
    if text == "*":
        return ""
    brackets = _BRACKETS.fullmatch(text)
    bare = brackets[1] if brackets and not brackets[2] else text
    address = canonical_ip(bare)
    if address is None:
        right = f"write 127.0.0.1{port}"
        if bare.lower() != "localhost":
            right = "expected an IPv4 or IPv6 address of this machine, or *"
        raise Invalid(f"invalid listen address {quoted(text)}", right)
    return "" if address == "::" else _without_zone(address)


def listen_address(text: str, *, like: str = "PORT, ADDRESS:PORT or [v6]:PORT") -> tuple[str | None, int]:
    """Read PORT, :PORT, ADDRESS:PORT or [v6]:PORT; the host is None if it is not given. *like* is for the advice.

    Raises:
        Invalid: *text* is none of these.
    """
    if _is_number(text):
        return None, port_number(text)
    host, port_text = _split(text, scheme="", port="PORT")
    if not port_text:
        raise Invalid(f"missing port in {quoted(text)}", f"expected {like}")
    return (listen_host(host, port=f":{port_text}") if host else None), port_number(port_text)


def overlap(one: Address, other: Address) -> bool:
    """Tell whether two sockets cannot listen on both of these at the same time."""
    return one.port == other.port and (_covers(one.host, other.host) or _covers(other.host, one.host))


def without_covered(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Drop from listen *hosts* those that are repeated, or covered by another of them."""
    once = tuple(dict.fromkeys(hosts))
    return tuple(host for host in once if not any(other != host and _covers(other, host) for other in once))


def _covers(wide: str, narrow: str) -> bool:
    return wide in ("", narrow) or (wide == EVERY_IPV4 and bool(narrow) and ":" not in narrow)


def _split(text: str, *, scheme: str, port: str) -> tuple[str, str]:
    """Split into host and port, either of which may be missing."""
    brackets = _BRACKETS.fullmatch(text)
    if brackets:
        host, after = brackets[1], brackets[2] or ""
        if ":" not in host or canonical_ip(host) is None:
            raise Invalid(f"invalid IPv6 address {quoted(host)} in brackets", "expected one like [fd00::7]")
        return host, after[1:]
    if "[" in text or "]" in text:
        raise Invalid("misplaced brackets", f"write {scheme}[ADDRESS]:{port}")
    host, _, port_text = text.rpartition(":")
    if ":" in host:
        address = canonical_ip(host)
        right = f"[{_without_zone(address)}]" if address else "[ADDRESS]"
        right = f"{right}:{port_text if address and _is_port(port_text) else port}"
        plain = address or canonical_ip(text)
        raise Invalid("IPv6 address without brackets" if plain else "too many colons", f"write {scheme}{right}")
    return (host, port_text) if ":" in text else (text, "")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_port(text: str) -> bool:
    try:
        port_number(text)
    except Invalid:
        return False
    return True


def _in_order(text: str) -> str:
    """Write an upstream as it is used, without the characters that nobody sees; empty if it is none."""
    try:
        return str(upstream_address(text))
    except Invalid:
        return ""


def _without_zone(address: str) -> str:
    """Refuse a zone (RFC 4007): its name means nothing on another machine, and link-local addresses move."""
    if "%" in address:
        raise Invalid(f"unexpected zone {quoted(address[address.index('%') :])}", "write the address without its zone")
    return address
