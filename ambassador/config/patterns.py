"""Patterns of routes, as exceptions name them: an alias, ALIAS:PORT, :PORT or ADDRESS:PORT, `*` for any part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ambassador.config.addresses import canonical_ip
from ambassador.config.filter import normalised

if TYPE_CHECKING:
    from ambassador.config.routes import Route

_ALIAS = r"[A-Za-z0-9_.*-]+"
# A route's own name, which may have alias and address, is a pattern, too.
_PATTERN = re.compile(
    rf"(?:(?P<alias>{_ALIAS}):(?=[\[0-9*].*:))?(?:(?P<v6>\[[0-9A-Fa-f:.*]+\])|(?P<word>{_ALIAS}))?"
    r"(?::(?P<port>[0-9*]+))?(?P<udp>/udp)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RoutePattern:
    """Which routes an exception is for. A part that is not written fits any.

    Attributes:
        alias: in the form of `normalised`.
        address: where a LISTEN says that it listens, in its usual form.
        word: an alias or an IPv4 address; only in a pattern that has neither of the above.
        port: as digits.
        udp: the UDP route is meant, of which there is none yet.
    """

    alias: str | None = None
    address: str | None = None
    word: str | None = None
    port: str | None = None
    udp: bool = False

    def fits(self, route: Route) -> bool:
        """Tell whether *route* is meant. Case, `-` and `_` make no difference in an alias."""
        alias = normalised(route.alias or "")
        return (
            not self.udp
            and (self.port is None or fnmatchcase(str(route.listen[0].port), self.port))
            and (self.alias is None or fnmatchcase(alias, self.alias))
            and (self.address is None or fnmatchcase(route.address, self.address))
            and (
                self.word is None or fnmatchcase(alias, normalised(self.word)) or fnmatchcase(route.address, self.word)
            )
        )


def route_pattern(text: str) -> RoutePattern | None:
    """Read a pattern; None if *text* is none."""
    match = _PATTERN.fullmatch(text)
    alias, v6, word, port, udp = match.groups() if match else (None,) * 5
    if not (word or port) or (v6 and not port):
        return None
    if alias is not None and word is not None:
        word, v6 = None, word
    return RoutePattern(
        alias=None if alias is None else normalised(alias),
        address=None if v6 is None else _canonical(v6.strip("[]")),
        word=word,
        port=None if port is None else (port.lstrip("0") or "0"),
        udp=udp is not None,
    )


def _canonical(address: str) -> str:
    """Write an address as routes have it: the one that stands for every address is empty there."""
    written = canonical_ip(address) or address.lower()
    return "" if written == "::" else written
