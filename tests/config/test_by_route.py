"""Settings with exceptions by route, from their texts to what `check` prints."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.config.by_route import applied
from ambassador.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]

LINKS = {
    "WEB_PORT_80_TCP": "tcp://web:80",
    "DB_PORT_5432_TCP": "tcp://db:5432",
    "AMBASSADOR_ROUTES": "127.0.0.1:81=x:1",
}
CERTIFICATES = {f"AMBASSADOR_TUNNEL_{name}_FILE": "/x" for name in ("CERT", "PRIVATE_KEY", "CA")}
ONE_DEFAULT = "write one, with commas in it, and exceptions as ROUTE=VALUE"
TEN, FD = ip_network("10.0.0.0/8"), ip_network("fd00::/8")
# Of each setting: a default and an exception as text, what they are, and the default of the table as text.
EXAMPLES: dict[str, tuple[str, str, Any, Any, str]] = {
    "CONNECT_TIMEOUT": ("3s", "1m30s", 3.0, 90.0, "10s"),
    "EJECT": ("0", "2s", 0.0, 2.0, "1s"),
    "IDLE_TIMEOUT": ("5m", "0", 300.0, 0.0, "0"),
    "HALF_CLOSE_TIMEOUT": ("5m", "1", 300.0, 1.0, "0"),
    "MAX_LIFETIME": ("1h", "0", 3600.0, 0.0, "0"),
    "MAX_CONNECTIONS": ("100", "10", 100, 10, "auto"),
    "ALLOW": ("10.0.0.0/8,fd00::/8", "10.0.0.0/8", (TEN, FD), (TEN,), "all"),
    "TUNNEL": ("target", "source", "target", "source", "off"),
    "TUNNEL_PEERS": ("a.example,spiffe://b/c?d=e", "urn:x", ("a.example", "spiffe://b/c?d=e"), ("urn:x",), "off"),
    "PROXY_PROTOCOL": ("v1", "v2", "v1", "v2", "off"),
    "PROXY_PROTOCOL_FROM": ("10.0.0.0/8", "fd00::/8", (TEN,), (FD,), "off"),
    "ACCESS_LOG": ("off", "on", False, True, "on"),
}


def values(configuration: Configuration, name: str) -> dict[str, Any]:
    """Return what the setting is for each route."""
    setting = getattr(configuration.settings, name.lower())
    return {route.name: setting.of(route) for route in configuration.routes}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_default_and_exceptions(configure: Configure, name: str) -> None:
    """In any order one default holds for all routes but those that an exception names, and without one the table's."""
    default, exception, value, other, of_table = EXAMPLES[name]
    for text in (f"{default} web:80={exception}", f"WEB={exception}\n{default}"):
        made = configure(LINKS | CERTIFICATES | {f"AMBASSADOR_{name}": text})
        assert values(made, name) == {"web:80": other, "127.0.0.1:81": value, "db:5432": value}

    table = getattr(Settings(), name.lower()).default
    made = configure(LINKS | CERTIFICATES | {f"AMBASSADOR_{name}": f"web:*={exception}"})
    assert values(made, name) == {"web:80": other, "127.0.0.1:81": table, "db:5432": table}
    made = configure(LINKS | CERTIFICATES | {f"AMBASSADOR_{name}": f"{default} *:80={of_table}"})
    assert values(made, name) == {"web:80": table, "127.0.0.1:81": value, "db:5432": value}
    assert values(configure(LINKS | {f"AMBASSADOR_{name}": of_table}), name)["web:80"] == table


def test_the_last_exception_that_fits_wins(configure: Configure) -> None:
    """A later exception beats an earlier one, however much more exactly that one names the route."""
    made = configure(LINKS | {"AMBASSADOR_IDLE_TIMEOUT": "web:80=1 *=2 127.0.0.1:81=3"})

    assert values(made, "IDLE_TIMEOUT") == {"web:80": 2, "127.0.0.1:81": 3, "db:5432": 2}


def test_white_space_at_a_comma_separates_nothing(configure: Configure) -> None:
    """A list may be written with blanks, in a default and in an exception."""
    made = configure(LINKS | {"AMBASSADOR_ALLOW": "10.0.0.0/8, fd00::/8  web=10.0.0.0/8 ,\n\tfd00::/8 db=all"})

    assert values(made, "ALLOW") == {"web:80": (TEN, FD), "127.0.0.1:81": (TEN, FD), "db:5432": ()}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        (
            "TUNNEL",
            "source target",
            [f"more than one default: 'source' and 'target'; {ONE_DEFAULT}"],
        ),
        ("TUNNEL", "web:80=", ["missing value, in 'web:80='; write ROUTE=VALUE"]),
        ("TUNNEL", "web:80=on", ["unknown value, in 'web:80=on'; expected off, source or target"]),
        ("TUNNEL", "we/b=off", ["unknown value; expected off, source or target"]),
        (
            "CONNECT_TIMEOUT",
            "web=0 db=x soon",
            [
                "must not be 0, in 'web=0'; expected a duration like 250ms, 10s, 5m or 1h",
                "invalid duration, in 'db=x'; expected a duration like 250ms, 10s, 5m or 1h, or 0 for off",
                "invalid duration; expected a duration like 250ms, 10s, 5m or 1h, or 0 for off",
            ],
        ),
        ("ALLOW", '"10.0.0.0/8 web=all"', ["quotes in the value; remove the quotes"]),
        ("IDLE_TIMEOUT", "5m # for all", ["comment in the value; remove the comment"]),
    ],
)
def test_every_wrong_item_is_a_line(problems: Problems, name: str, text: str, lines: list[str]) -> None:
    """All that is wrong in one setting is told at once, each with its item."""
    assert problems(LINKS | {f"AMBASSADOR_{name}": text}) == [f"AMBASSADOR_{name}={text}: {line}" for line in lines]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("pattern", ["wep:80", "web:80/udp"])
def test_exception_that_fits_no_route(configure: Configure, problems: Problems, name: str, pattern: str) -> None:
    """A slip is a problem where it would leave a route open, else a warning."""
    item = f"{pattern}={EXAMPLES[name][1]}"
    environ = LINKS | CERTIFICATES | {f"AMBASSADOR_{name}": item}
    if name in {"TUNNEL", "TUNNEL_PEERS", "ALLOW", "PROXY_PROTOCOL", "PROXY_PROTOCOL_FROM"}:
        (line,) = problems(environ)
        assert line == f"AMBASSADOR_{name}={item}: fits no route; the routes are web:80, 127.0.0.1:81, db:5432"
    else:
        assert (
            f"AMBASSADOR_{name}: {item} fits no route; the routes are web:80, 127.0.0.1:81, db:5432"
            in configure(LINKS | {f"AMBASSADOR_{name}": item}).warnings
        )


def test_unread_routes_are_no_second_problem(problems: Problems) -> None:
    """While a link cannot be read nobody knows which exceptions fit."""
    assert len(problems({"WEB_PORT_80_TCP": "nonsense", "AMBASSADOR_ALLOW": "web=10.0.0.0/8"})) == 1


def test_both_ends_of_tunnels_need_a_proof(problems: Problems, configure: Configure) -> None:
    """A role that one route alone has asks for files, and peers of one route alone ask for certificates."""
    (line,) = problems(LINKS | {"AMBASSADOR_TUNNEL": "off web=source"})
    assert line.startswith("AMBASSADOR_TUNNEL=off web=source: neither a key nor certificates")
    key = {"AMBASSADOR_TUNNEL": "web=target", "AMBASSADOR_TUNNEL_KEY_FILE": "/x"}
    assert len(problems(LINKS | key | {"AMBASSADOR_TUNNEL_PEERS": "web=a.example"})) == 1
    assert not configure(LINKS | key).warnings


def test_what_is_applied_to_a_route(configure: Configure) -> None:
    """For each route there is what is not the table's default, and what an exception decides, with the item."""
    settings = {
        "AMBASSADOR_TUNNEL": "target web:*=off",
        "AMBASSADOR_IDLE_TIMEOUT": "db=5m",
        "AMBASSADOR_CONNECT_TIMEOUT": "10s",
    }
    made = configure(LINKS | CERTIFICATES | settings)
    found = {route.name: [*applied(made.settings, Settings(), route)] for route in made.routes}

    assert found == {
        "web:80": [("TUNNEL", "off", "web:*=off")],
        "127.0.0.1:81": [("TUNNEL", "target", "target")],
        "db:5432": [("IDLE_TIMEOUT", "5m", "db=5m"), ("TUNNEL", "target", "target")],
    }
