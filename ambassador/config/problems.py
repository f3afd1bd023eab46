"""What is wrong with a value, as text for one line of a terminal: printable, short, without passwords."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ambassador.errors import Problem
from ambassador.net.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

# Characters: enough for three endpoints, few enough that what is wrong is still on the same screen line or the next.
LONGEST = 120
_LONGEST_QUOTE = 40
MASK = "***"


class Invalid(ValueError):  # noqa: N818 - it becomes a Problem of a ConfigurationError, and reads better so
    """A value that cannot be used: what is *wrong*, such as "missing port", and the *right* thing to write."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right

    def of(self, variable: str, value: str) -> Problem:
        """Make a problem of *variable*, whose *value* is shown without passwords, as far as it fits."""
        return Problem(variable, shown(value), self.wrong, self.right)


class Several(Invalid):
    """Several things that are wrong with one value."""

    def __init__(self, each: Sequence[Invalid]) -> None:
        super().__init__("; ".join(map(str, each)), "")
        self.each = tuple(each)


def left_in(value: str) -> Invalid | None:
    """Say what `docker run --env-file` left in a value that cannot be used, quotes or a comment; None if nothing."""
    found = [what for what, mark in (("quotes", "[\"']"), ("comment", r"(^|\s)#")) if re.search(mark, value)]
    if not found:
        return None
    return Invalid(f"{' and '.join(found)} in the value", f"remove {' and '.join(f'the {what}' for what in found)}")


def shown(value: str, longest: int = LONGEST) -> str:
    """Write *value* in one printable line: control characters escaped, passwords masked, a long end cut off."""
    return printable(_masked(value), longest)


def path_shown(value: str) -> str:
    """Write the path of a secret, masked unless it is surely a path: users write the secret itself in its place."""
    return shown(value) if value.startswith("/") and value.isprintable() else MASK


def quoted(value: str) -> str:
    """Write a part of a value within a sentence."""
    return f"'{shown(value, _LONGEST_QUOTE)}'"


def _masked(value: str) -> str:
    """Hide the parts of a URL that hold passwords (RFC 3986): before an @, and in a query. If in doubt, more of it."""
    before, mark, query = _without_user(value).partition("?")
    return f"{before}{mark}{MASK}" if query else before + mark


def _without_user(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if mark and "@" in rest:
        value = f"{scheme}{mark}{MASK}@{rest.rpartition('@')[2]}"
        if "@" not in scheme:
            return value
    return re.sub(r"\S+", lambda word: f"{MASK}@{word[0].rpartition('@')[2]}" if "@" in word[0] else word[0], value)
