"""Explicit routes, of AMBASSADOR_ROUTES and of the command line."""

from __future__ import annotations

import pytest

from ambassador.config.routes_setting import explicit_routes


def written(text: str = "", *arguments: str) -> list[tuple[str, str | None, int, str]]:
    """Read routes without a problem: source, host, port and endpoints of each."""
    routes, problems = explicit_routes(text, arguments)
    assert not problems
    return [
        (route.source, route.host, route.port, ",".join(str(endpoint.address) for endpoint in route.endpoints))
        for route in routes
    ]


@pytest.mark.parametrize(
    ("text", "host", "port", "endpoints"),
    [
        ("redis:6379", None, 6379, "redis:6379"),
        ("a:1,b:2", None, 1, "a:1,b:2"),
        ("6380=redis:6379", None, 6380, "redis:6379"),
        (":6380=redis:6379", None, 6380, "redis:6379"),
        ("*:6380=redis:6379", "", 6380, "redis:6379"),
        ("127.0.0.1:6380=redis:6379", "127.0.0.1", 6380, "redis:6379"),
        ("[::1]:6380=[fd00::7]:6379,a:1", "::1", 6380, "[fd00::7]:6379,a:1"),
        ("80=a:1,a:1", None, 80, "a:1"),
    ],
)
def test_route(text: str, host: str | None, port: int, endpoints: str) -> None:
    """A route is [LISTEN=]HOST:PORT[,HOST:PORT], and without LISTEN the first endpoint's port is listened on."""
    assert written(text) == [("AMBASSADOR_ROUTES", host, port, endpoints)]
    assert written("", text) == [("argument", host, port, endpoints)]


def test_any_white_space_separates_routes() -> None:
    """Routes may stand on lines of their own."""
    assert [port for _, _, port, _ in written(" a:1\tb:2\n\n c:3\r\n")] == [1, 2, 3]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_of_the_setting(end: str) -> None:
    """A # begins a comment up to a line feed, and only there; within a word it begins none."""
    text = end.join(["# all of them", "a:1 # b:2", "#c:3\rd:4", "", "e:5#", "f:6"])

    routes, problems = explicit_routes(text, [])

    assert [route.port for route in routes] == [1, 6]
    assert [str(problem) for problem in problems] == ["AMBASSADOR_ROUTES=e:5#: unexpected path or query; write e:5"]
    assert written("# none") == []


@pytest.mark.parametrize(
    ("arguments", "endpoint"),
    [
        (("redis", "6379"), "redis:6379"),
        (("172.17.0.2", "6379"), "172.17.0.2:6379"),
        (("fd00::7", "6379"), "[fd00::7]:6379"),
        (("[fd00::7]", "6379"), "[fd00::7]:6379"),
    ],
)
def test_host_and_port_as_two_arguments(arguments: tuple[str, ...], endpoint: str) -> None:
    """`HOST PORT`, as the users of the old image wrote it, is one route with the same port on both sides."""
    assert written("", *arguments) == [("argument", None, 6379, endpoint)]


def test_two_routes_as_arguments_are_two_routes() -> None:
    """Two arguments are HOST PORT only where the second is a bare number."""
    assert [port for _, _, port, _ in written("", "a:1", "b:2")] == [1, 2]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("redis", "missing port; write redis:PORT"),
        ("6379", "missing host; write HOST:6379"),
        ("=a:1", "missing LISTEN before the =; write LISTEN=HOST:PORT, or HOST:PORT"),
        ("80=", "missing endpoint; expected [LISTEN=]HOST:PORT[,HOST:PORT], without spaces"),
        ("a:1,", "missing endpoint; expected [LISTEN=]HOST:PORT[,HOST:PORT], without spaces"),
        ("0=a:1", "invalid port '0'; expected a number from 1 to 65535"),
        ("b=a:1", "missing port in 'b'; expected PORT, ADDRESS:PORT or [v6]:PORT"),
        ("localhost:80=a:1", "invalid listen address 'localhost'; write 127.0.0.1:80"),
        ("80=81=a:1", "missing port in '80=81'; expected PORT, ADDRESS:PORT or [v6]:PORT"),
        ("8080:web:80", "missing = after LISTEN; write 8080=web:80"),
        ("127.0.0.1:8080:10.0.0.7:80", "missing = after LISTEN; write 127.0.0.1:8080=10.0.0.7:80"),
        ("8080:[fd00::7]:80", "missing = after LISTEN; write 8080=[fd00::7]:80"),
        ("a:80;b:80", "several routes in one; separate routes with spaces, and only endpoints with commas"),
        (
            "80=a:80,443=b:443",
            "several routes in one; separate routes with spaces, and only endpoints with commas",
        ),
        ("80=tcp://a:1", "unexpected scheme; write HOST:PORT without tcp://"),
        ('"6379=redis:6379"', "quotes in the value; remove the quotes"),
        ("80=fd00::1:81", "IPv6 address without brackets; write [fd00::1]:81"),
    ],
)
def test_malformed_route(word: str, line: str) -> None:
    """A malformed route is a problem of its own line, whether it came from the variable or as an argument."""
    routes, problems = explicit_routes(f"a:1 {word} b:2", ["c:3", word, "d:4"])

    assert len(routes) == 4
    assert [str(problem).endswith(line) for problem in problems] == [True, True]
    assert str(problems[0]).startswith(f"argument {word}: ")
    assert str(problems[1]).startswith(f"AMBASSADOR_ROUTES={word}: ")


def test_a_route_before_a_number_is_a_route_of_its_own() -> None:
    """Only a host is joined with the port after it: what is a route already stays one."""
    routes, problems = explicit_routes("", ["web:80", "81"])

    assert len(routes) == 1
    assert [str(problem) for problem in problems] == ["argument 81: missing host; write HOST:81"]


def test_a_route_of_a_file_is_told_with_the_variable_that_names_the_file() -> None:
    """A route that another variable brought names that one, whose value the route is not."""
    (route,), (problem,) = explicit_routes("a:1 b", [], variable="AMBASSADOR_ROUTES_FILE")

    assert route.source == "AMBASSADOR_ROUTES_FILE"
    assert str(problem) == "AMBASSADOR_ROUTES_FILE b: missing port; write b:PORT"


def test_password_in_a_route_is_never_shown() -> None:
    """A user and a password are refused and masked."""
    _, problems = explicit_routes("80=user:hunter2@a:1", [])

    assert [str(problem) for problem in problems] == [
        "AMBASSADOR_ROUTES=***@a:1: unexpected user or password; write HOST:PORT"
    ]


def test_what_stands_in_a_query_is_never_shown() -> None:
    """A query is masked, and no advice repeats what follows its `=`."""
    _, problems = explicit_routes("80=http:/a/?token=hunter2 b:1?token=hunter2:2", [])

    assert [str(problem) for problem in problems] == [
        "AMBASSADOR_ROUTES=80=http:/a/?***: unexpected path or query; write LISTEN=HOST:PORT, or HOST:PORT",
        "AMBASSADOR_ROUTES=b:1?***: unexpected path or query; write LISTEN=HOST:PORT, or HOST:PORT",
    ]
