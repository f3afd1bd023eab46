"""Who may ask what of the admin server.

Two dangers, beside strangers on the network: a web page open in the browser of somebody on this machine may send
requests here (it cannot read the answers, but a POST needs no answer), and a page whose name was made to resolve to
this machine (DNS rebinding) may read them, too. A browser tells both by what it says in `Origin`, `Sec-Fetch-Site`
and `Host`.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from ambassador.net.address import is_ip, unmapped

if TYPE_CHECKING:
    from collections.abc import Mapping

# Methods that change nothing (RFC 9110, section 9.2.1).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What a browser says of a request that no foreign page caused (Fetch Metadata).
_OWN_SITES = frozenset({"same-origin", "none"})
# A host and, perhaps, a port (RFC 9110, section 7.2).
_HOST = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::[0-9]{0,5})?")


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    reason: str


def refusal(method: str, peer: str, headers: Mapping[str, str], *, token: str | None) -> Refusal | None:
    """Say why a request from the address *peer* is refused; None when it is not."""
    local = _is_loopback(peer)
    host = headers.get("Host")
    if local and host is not None and not _is_address_or_localhost(host):
        return Refusal(403, "from this machine, ask by address or as localhost")
    if method in _SAFE:
        return None
    if not _is_from_here(headers):
        return Refusal(403, "not for pages of other origins")
    if local or _bears(token, headers):
        return None
    if token is None:
        return Refusal(403, "only from this machine: there is no AMBASSADOR_ADMIN_TOKEN")
    return Refusal(401, "needs the bearer token of AMBASSADOR_ADMIN_TOKEN")


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(unmapped(peer)).is_loopback
    except ValueError:
        return False


def _is_address_or_localhost(host: str) -> bool:
    """Tell whether a `Host` field is one that no name server can have a say in, and no more than that."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    bracketed, name = match["bracketed"], match["name"]
    # An IPv6 address has brackets, and nothing else has them (RFC 3986, section 3.2.2).
    return (
        ":" in bracketed and is_ip(bracketed) if bracketed is not None else name.lower() == "localhost" or is_ip(name)
    )


def _is_from_here(headers: Mapping[str, str]) -> bool:
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_SITES:
        return False
    origin = headers.get("Origin")
    return origin is None or origin in {f"{scheme}://{headers.get('Host')}" for scheme in ("http", "https")}


def _bears(token: str | None, headers: Mapping[str, str]) -> bool:
    """Compare in a time that does not depend on how much of the token is right."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if token is None or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
