"""Patterns of routes."""

from __future__ import annotations

import pytest

from ambassador.config.patterns import route_pattern
from ambassador.config.routes import Route
from ambassador.net.address import Address

WEB = Route("web_app:80", "web_app", (Address("", 80),), (), "")
PLAIN = Route(":80", None, (Address("10.0.0.1", 80), Address("::1", 80)), (), "")
LOCAL = Route("127.0.0.1:8080", None, (Address("127.0.0.1", 8080),), (), "", "127.0.0.1")
SIX = Route("[fd00::7]:80", None, (Address("fd00::7", 80),), (), "", "fd00::7")
BOTH = Route("web:10.0.0.7:80", "web", (Address("10.0.0.7", 80),), (), "", "10.0.0.7")
ROUTES = (WEB, PLAIN, LOCAL, SIX, BOTH)


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("web_app", {WEB}),
        ("Web-App", {WEB}),
        ("web*", {WEB, BOTH}),
        ("web-app:80", {WEB}),
        ("web_app:080", {WEB}),
        ("web_app:81", set()),
        ("web_app:*", {WEB}),
        ("*:8080", {LOCAL}),
        ("*:80*", set(ROUTES)),
        ("*:*", set(ROUTES)),
        ("*", set(ROUTES)),
        (":80", {WEB, PLAIN, SIX, BOTH}),
        (":*", set(ROUTES)),
        ("127.0.0.1:8080", {LOCAL}),
        ("127.*:8080", {LOCAL}),
        ("10.0.0.*:*", {BOTH}),
        ("[fd00::7]:80", {SIX}),
        ("[FD00:0::7]:80", {SIX}),
        ("[fd00::*]:80", {SIX}),
        ("web:10.0.0.7:80", {BOTH}),
        ("*:10.0.0.7:80", {BOTH}),
        ("web:*:80", {BOTH}),
        ("10.0.0.1:80", set()),
        ("web_app:80/udp", set()),
        ("*/udp", set()),
    ],
)
def test_which_routes_a_pattern_fits(text: str, fitting: set[Route]) -> None:
    """A pattern fits by alias, port and the address of LISTEN, `*` fits any part, and what is left out says nothing."""
    pattern = route_pattern(text)

    assert pattern is not None
    assert {route.name for route in ROUTES if pattern.fits(route)} == {route.name for route in fitting}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_s_own_name_is_a_pattern_that_fits_it(route: Route) -> None:
    """Whoever copies the name that `check` prints names that route."""
    pattern = route_pattern(route.name)

    assert pattern is not None
    assert pattern.fits(route)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "web:", "web:x", "web:80x", "web:80:", "a b", "spiffe://a/b?c", "urn:a", "http:/x?a", "[fd00::7]",
        "/udp", "web/tcp", "web:80/udp/udp", "w\xe9b:80", "a,b:80", "[web]:80", "::1:80", "!web",
    ],
)  # fmt: skip
def test_what_is_no_pattern(text: str) -> None:
    """Only the forms of a route's name are patterns, so that values with a = in them are none."""
    assert route_pattern(text) is None
