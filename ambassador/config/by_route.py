"""Settings that take exceptions by route: `AMBASSADOR_IDLE_TIMEOUT="0 web:80=5m"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ambassador.config.patterns import RoutePattern, route_pattern
from ambassador.config.problems import Invalid, Several, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ambassador.config.routes import Route

T = TypeVar("T")
# White space there separates nothing.
_AT_COMMAS = re.compile(r"\s*,\s*")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """One exception.

    Attributes:
        text: as written, ROUTE=VALUE.
    """

    pattern: RoutePattern
    value: T
    text: str


@dataclass(frozen=True, slots=True)
class ByRoute(Generic[T]):
    """The value of a setting for each route.

    Attributes:
        default: what holds for routes without an exception.
        text: the default as written; empty where the table's holds.
        items: the exceptions in their order, of which the last that fits wins.
    """

    default: T
    text: str = ""
    items: tuple[Item[T], ...] = ()

    def __str__(self) -> str:
        """Write the setting as it was written, in one line."""
        return " ".join([self.text, *(item.text for item in self.items)]).strip()

    def of(self, route: Route) -> T:
        """Return the value for *route*."""
        item = self.item(route)
        return self.default if item is None else item.value

    def item(self, route: Route) -> Item[T] | None:
        """Return the exception that *route* is; None if it is none."""
        return next((item for item in reversed(self.items) if item.pattern.fits(route)), None)

    def values(self) -> Iterator[T]:
        """Go through all values that a route may have."""
        yield self.default
        yield from (item.value for item in self.items)


def by_route(read: Callable[[str], T], default: T) -> Callable[[str], ByRoute[T]]:
    """Return a function that reads a setting with its exceptions; *read* reads one value, *default* is the table's."""

    def read_all(text: str) -> ByRoute[T]:
        items: list[Item[T]] = []
        plain: list[str] = []
        wrong: list[Invalid] = []
        for word in _AT_COMMAS.sub(",", text).split():
            route, mark, value = word.partition("=")
            pattern = route_pattern(route) if mark else None
            if pattern is None:
                plain.append(word)
                continue
            try:
                items.append(Item(pattern, _read(read, value), word))
            except Invalid as invalid:
                wrong.append(Invalid(f"{invalid.wrong}, in {quoted(word)}", invalid.right))
        if len(plain) > 1:
            two = f"more than one default: {quoted(plain[0])} and {quoted(plain[1])}"
            wrong.append(Invalid(two, "write one, with commas in it, and exceptions as ROUTE=VALUE"))
        elif plain:
            try:
                default_read = read(plain[0])
            except Invalid as invalid:
                wrong.append(invalid)
        if wrong:
            raise wrong[0] if len(wrong) == 1 else Several(wrong)
        return ByRoute(default_read if plain else default, plain[0] if plain else "", tuple(items))

    return read_all


def _read(read: Callable[[str], T], value: str) -> T:
    if not value:
        raise Invalid("missing value", "write ROUTE=VALUE")
    return read(value)


class Applied(NamedTuple):
    """What a setting is for a route, as written, and the item that makes it so."""

    setting: str
    value: str
    by: str


def applied(
    settings: Iterable[tuple[str, object]], defaults: Iterable[tuple[str, object]], route: Route
) -> list[Applied]:
    """Return what is not the table's default for *route*, and what an exception makes of it, by setting."""
    found = []
    for (name, setting), (_, default) in zip(settings, defaults, strict=True):
        if not isinstance(setting, ByRoute) or not isinstance(default, ByRoute):
            continue
        item = setting.item(route)
        if item is not None:
            found.append(Applied(name.upper(), item.text.partition("=")[2], item.text))
        elif setting.default != default.default:
            found.append(Applied(name.upper(), setting.text, setting.text))
    return found
