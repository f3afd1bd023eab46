"""Explicit routes, of AMBASSADOR_ROUTES and of the command line: `[LISTEN=]HOST:PORT[,HOST:PORT...]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ambassador.config.addresses import canonical_ip, listen_address, upstream_address
from ambassador.config.problems import Invalid, left_in, shown
from ambassador.config.routes import Endpoint
from ambassador.errors import Problem
from ambassador.net.address import bracketed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ambassador.net.address import Address

ARGUMENT = "argument"
ROUTES = "AMBASSADOR_ROUTES"
# To the end of the line, which is what a line feed ends.
_COMMENT = re.compile(r"(?<!\S)#[^\n]*")
_FORM = "expected [LISTEN=]HOST:PORT[,HOST:PORT], without spaces"
# [ADDRESS:]PORT:HOST:PORT, in the way of `docker run --publish`.
_PUBLISHED = re.compile(r"((?:[0-9.]+:)?[0-9]+):([^:\[\]]+|\[[^\[\]]+\]):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Explicit:
    """A route as a user wrote it.

    Attributes:
        source: the variable that it comes from, or "argument".
        text: as written, fit to be shown.
        host: where to listen: None is where AMBASSADOR_BIND says, empty is every address.
    """

    source: str
    text: str
    host: str | None
    port: int
    endpoints: tuple[Endpoint, ...]

    def problem(self, wrong: str, right: str) -> Problem:
        """Make a problem of this route."""
        return _problem(self.source, self.text, wrong, right)


def explicit_routes(
    text: str, arguments: Sequence[str], *, variable: str = ROUTES
) -> tuple[list[Explicit], list[Problem]]:
    """Read the routes of AMBASSADOR_ROUTES and of the command line. *variable* is where *text* comes from.

    In *text* a `#` at the beginning of a word begins a comment.
    """
    routes: list[Explicit] = []
    problems: list[Problem] = []
    for source, words in ((ARGUMENT, _words(arguments)), (variable, _COMMENT.sub("", text).split())):
        for word in words:
            try:
                routes.append(_route(source, word))
            except Invalid as error:
                invalid = left_in(word) or error
                problems.append(_problem(source, word, invalid.wrong, invalid.right))
    return routes, problems


def _words(arguments: Sequence[str]) -> Iterable[str]:
    """Split arguments into routes; `HOST PORT`, the syntax of the old image, is one route."""
    match arguments:
        case [host, port] if port.isascii() and port.isdigit():
            bare = host.strip("[]")
            if canonical_ip(bare) or not any(mark in host for mark in ":=,"):
                return [f"{bracketed(bare)}:{port}"]
    return " ".join(arguments).split()


def _route(source: str, word: str) -> Explicit:
    if "@" in word:
        raise Invalid("unexpected user or password", "write HOST:PORT")
    if "://" in word:
        raise Invalid("unexpected scheme", "write HOST:PORT without tcp://")
    if ";" in word or "=" in word.partition(",")[2]:
        raise Invalid("several routes in one", "separate routes with spaces, and only endpoints with commas")
    if published := _PUBLISHED.fullmatch(word):
        raise Invalid("missing = after LISTEN", "write {}={}:{}".format(*map(shown, published.groups())))
    listen, mark, upstream = word.rpartition("=")
    if "?" in listen:  # what follows the = is a query's, and may be a secret: not to be repeated in advice
        raise Invalid("unexpected path or query", "write LISTEN=HOST:PORT, or HOST:PORT")
    if mark and not listen:
        raise Invalid("missing LISTEN before the =", "write LISTEN=HOST:PORT, or HOST:PORT")
    addresses = list(dict.fromkeys(map(_upstream, upstream.split(","))))
    endpoints = tuple(map(Endpoint, addresses))
    host, port = listen_address(listen) if mark else (None, addresses[0].port)
    return Explicit(source, shown(word), host, port, endpoints)


def _upstream(text: str) -> Address:
    if not text:
        raise Invalid("missing endpoint", _FORM)
    return upstream_address(text)


def _problem(source: str, word: str, wrong: str, right: str) -> Problem:
    if source == ROUTES:
        return Problem(source, shown(word), wrong, right)
    # A route from a file is not the value of its variable, and an argument has no variable.
    return Problem(f"{source} {shown(word)}", "", wrong, right)
