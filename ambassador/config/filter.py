"""AMBASSADOR_LINKS: which aliases are served."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ambassador.config.problems import Invalid, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

# The API server, which Kubernetes puts into the environment of every pod: served only on request.
_KUBERNETES = "KUBERNETES"
_PATTERN = re.compile(r"[A-Z0-9_.*]+")
_RIGHT = "expected aliases like redis,web_*,!web_old, or off"


@dataclass(frozen=True, slots=True)
class LinkFilter:
    """Which links become routes.

    Attributes:
        include: patterns in the form of `normalised`, one of which the alias must match; none means all.
        exclude: patterns that the alias must not match.
        off: no link is served.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    off: bool = False

    def why_not(self, alias: str) -> str | None:
        """Say why the link *alias* is not served, or None when it is."""
        name = normalised(alias)
        if self.off:
            return "AMBASSADOR_LINKS is off"
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return "AMBASSADOR_LINKS excludes it"
        if self.include and not any(fnmatchcase(name, pattern) for pattern in self.include):
            return "AMBASSADOR_LINKS does not include it"
        if name == _KUBERNETES and name not in self.include:
            return "the Kubernetes API server, known to every pod: served only if AMBASSADOR_LINKS names kubernetes"
        return None

    def leave_out(self, alias: str) -> str:
        """Say how to exclude *alias*, which is served."""
        if self.include:
            return f"remove {alias} from AMBASSADOR_LINKS"
        return f"add !{alias} to AMBASSADOR_LINKS" if self.exclude else f"exclude one with AMBASSADOR_LINKS=!{alias}"

    def absent(self, aliases: Iterable[str]) -> list[str]:
        """Return what is included by its full name but is not among *aliases*, in lower case."""
        there = set(map(normalised, aliases))
        return [name.lower() for name in self.include if "*" not in name and name not in there]


def normalised(alias: str) -> str:
    """Write an alias so that case, `-` and `_` make no difference."""
    return alias.upper().replace("-", "_")


def link_filter(text: str) -> LinkFilter:
    """Read AMBASSADOR_LINKS.

    Raises:
        Invalid: a pattern in it can match no alias.
    """
    if text.strip().lower() == "off":
        return LinkFilter(off=True)
    include: list[str] = []
    exclude: list[str] = []
    for name in map(str.strip, text.split(",")):
        pattern = normalised(name.removeprefix("!"))
        if not pattern:
            raise Invalid("empty item in the list", _RIGHT)
        if not _PATTERN.fullmatch(pattern):
            raise Invalid(f"invalid alias {quoted(name)}", _RIGHT)
        if name.lower() == "off":
            raise Invalid("'off' among aliases", "write off alone, or only aliases")
        (exclude if name.startswith("!") else include).append(pattern)
    return LinkFilter(tuple(include), tuple(exclude))
