"""Links and explicit routes to routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ambassador.net.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]


def names(configuration: Configuration) -> dict[str, str]:
    """Return what each route listens on and dials, by its name."""
    return {
        route.name: " ".join(map(str, route.listen)) + "=" + ",".join(str(end.address) for end in route.endpoints)
        for route in configuration.routes
    }


def reasons(configuration: Configuration) -> dict[str, tuple[str | None, str]]:
    """Return what became of each variable: its route, and why."""
    return {decision.variable: (decision.route, decision.reason) for decision in configuration.decisions}


def test_link_becomes_a_route(configure: Configure) -> None:
    """A link listens on all addresses, bears its alias in small letters, and knows its variable."""
    (route,) = configure({"REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6380"}).routes

    assert route.name == "redis:6379"
    assert route.alias == "redis"
    assert route.listen == (Address("", 6379),)
    assert route.source == "REDIS_PORT_6379_TCP"


def test_routes_are_sorted_by_port(configure: Configure) -> None:
    """The order of routes does not hang on that of the environment."""
    configuration = configure(
        {"A_PORT_300_TCP": "tcp://a:1", "AMBASSADOR_ROUTES": "20=b:1", "C_PORT_100_TCP": "tcp://c:1"}
    )

    assert list(names(configuration)) == [":20", "c:100", "a:300"]


@pytest.mark.parametrize("order", [1, -1])
def test_links_to_one_upstream_merge(configure: Configure, order: int) -> None:
    """The three aliases that Compose once set for one container are one route, named by the shortest."""
    variables = ["PROJECT_DB_1_PORT_5432_TCP", "DB_1_PORT_5432_TCP", "DB_PORT_5432_TCP"]
    configuration = configure(dict.fromkeys(variables[::order], "tcp://172.17.0.2:5432"))

    assert names(configuration) == {"db:5432": ":5432=172.17.0.2:5432"}
    assert reasons(configuration) == {
        "DB_PORT_5432_TCP": ("db:5432", ""),
        "DB_1_PORT_5432_TCP": ("db:5432", "same as DB_PORT_5432_TCP"),
        "PROJECT_DB_1_PORT_5432_TCP": ("db:5432", "same as DB_PORT_5432_TCP"),
    }


def test_links_to_different_upstreams_clash(problems: Problems) -> None:
    """Two upstreams for one port are one problem that names both variables and both settings that decide."""
    (line,) = problems({"REDIS_PORT_6379_TCP": "tcp://a:1", "CACHE_PORT_6379_TCP": "tcp://b:1"})

    assert line == (
        "CACHE_PORT_6379_TCP=tcp://b:1: claims port 6379, but so does REDIS_PORT_6379_TCP=tcp://a:1, with another "
        "upstream; exclude one with AMBASSADOR_LINKS=!redis, or choose with AMBASSADOR_ROUTES=6379=b:1"
    )


@pytest.mark.parametrize(
    ("links", "advice"),
    [
        ("redis,cache", "; remove redis from AMBASSADOR_LINKS, or choose with AMBASSADOR_ROUTES=6379=b:1"),
        ("!web", "; add !redis to AMBASSADOR_LINKS, or choose with AMBASSADOR_ROUTES=6379=b:1"),
    ],
)
def test_advice_against_a_clash_goes_on_from_the_choice_of_links(problems: Problems, links: str, advice: str) -> None:
    """Where AMBASSADOR_LINKS is set, nobody is told to set it to something that would replace what it says."""
    environ = {"REDIS_PORT_6379_TCP": "tcp://a:1", "CACHE_PORT_6379_TCP": "tcp://b:1", "AMBASSADOR_LINKS": links}
    (line,) = problems(environ)

    assert line.endswith(advice)


@pytest.mark.parametrize("advice", [{"AMBASSADOR_LINKS": "!redis"}, {"AMBASSADOR_ROUTES": "6379=b:1"}])
def test_advice_against_a_clash_helps(configure: Configure, advice: dict[str, str]) -> None:
    """What the message of a clash says to add makes a configuration that serves."""
    environ = {"REDIS_PORT_6379_TCP": "tcp://a:1", "CACHE_PORT_6379_TCP": "tcp://b:1"}

    assert names(configure(environ | advice)) == {"cache:6379": ":6379=b:1"}


def test_many_clashes_on_a_port_are_one_line(problems: Problems) -> None:
    """A hundred Services on port 80 make one problem, not ninety-nine."""
    (line,) = problems({f"S{number}_PORT_80_TCP": f"tcp://s{number}:80" for number in range(100)})

    assert "and 98 more" in line


def test_order_of_endpoints_is_part_of_the_upstream(problems: Problems) -> None:
    """The same endpoints in another order are another upstream, for they are tried in order."""
    assert len(problems({"A_PORT_80_TCP": "tcp://a:1,tcp://b:1", "B_PORT_80_TCP": "tcp://b:1,tcp://a:1"})) == 1


def test_leading_zeros_make_no_second_port(problems: Problems) -> None:
    """Port 080 is port 80, and no choice of aliases tells the two links apart."""
    (line,) = problems({"A_PORT_80_TCP": "tcp://a:1", "A_PORT_080_TCP": "tcp://b:1"})

    assert line.endswith("; choose with AMBASSADOR_ROUTES=80=b:1")


def test_bind_is_where_routes_listen_that_name_no_address(configure: Configure) -> None:
    """AMBASSADOR_BIND holds for links and for explicit routes without an address, and for no other."""
    configuration = configure(
        {
            "AMBASSADOR_BIND": "127.0.0.1,[::1]",
            "A_PORT_80_TCP": "tcp://a:1",
            "AMBASSADOR_ROUTES": "81=b:1 *:82=c:1 10.0.0.1:83=d:1",
        }
    )

    assert names(configuration) == {
        "a:80": "127.0.0.1:80 [::1]:80=a:1",
        ":81": "127.0.0.1:81 [::1]:81=b:1",
        ":82": ":82=c:1",
        "10.0.0.1:83": "10.0.0.1:83=d:1",
    }


def test_explicit_route_beats_a_link_and_keeps_its_alias(configure: Configure) -> None:
    """An explicit route decides what a link's port serves, and bears the link's name."""
    configuration = configure({"REDIS_PORT_6379_TCP": "tcp://a:1", "AMBASSADOR_ROUTES": "6379=b:1"})

    assert names(configuration) == {"redis:6379": ":6379=b:1"}
    assert configuration.routes[0].alias == "redis"
    assert configuration.routes[0].source == "AMBASSADOR_ROUTES"
    assert reasons(configuration)["REDIS_PORT_6379_TCP"] == (None, "overridden by an explicit route for port 6379")


def test_argument_beats_a_link(configure: Configure) -> None:
    """A route of the command line is as explicit as one of the variable."""
    configuration = configure({"REDIS_PORT_6379_TCP": "tcp://a:1"}, arguments=["b", "6379"])

    assert names(configuration) == {"redis:6379": ":6379=b:6379"}
    assert configuration.routes[0].source == "argument"


def test_explicit_route_keeps_the_alias_of_the_link_that_it_repeats(configure: Configure) -> None:
    """Where several links want a port, its explicit route bears the alias of the one with its upstream, or none."""
    links = {"REDIS_PORT_6379_TCP": "tcp://a:1", "CACHE_PORT_6379_TCP": "tcp://b:1"}

    assert list(names(configure(links | {"AMBASSADOR_ROUTES": "6379=b:1"}))) == ["cache:6379"]
    assert list(names(configure(links | {"AMBASSADOR_ROUTES": "6379=c:1"}))) == [":6379"]


def test_routes_on_one_port_are_told_apart_by_address(configure: Configure) -> None:
    """Where a port has several routes, their names have the address; other names stay short."""
    configuration = configure(
        {
            "AMBASSADOR_ROUTES": "127.0.0.1:80=a:1 [::1]:80=b:1 81=c:1 10.0.0.1:82=d:1 10.0.0.2:82=e:1",
            "E_PORT_82_TCP": "tcp://x:1",
        }
    )

    assert list(names(configuration)) == ["127.0.0.1:80", "[::1]:80", ":81", "e:10.0.0.1:82", "e:10.0.0.2:82"]


@pytest.mark.parametrize(
    ("routes", "listen"),
    [
        ("80=a:1 80=a:1", [Address("", 80)]),
        ("127.0.0.1:80=a:1 *:80=a:1", [Address("", 80)]),
        ("*:80=a:1 127.0.0.1:80=a:1", [Address("", 80)]),
        ("10.0.0.1:80=a:1 [::1]:80=a:1 *:80=a:1", [Address("", 80)]),
    ],
)
def test_explicit_routes_to_one_upstream_merge(configure: Configure, routes: str, listen: list[Address]) -> None:
    """Routes that overlap and dial the same are one route, which listens on each address once."""
    configuration = configure({"AMBASSADOR_ROUTES": routes})

    assert [list(route.listen) for route in configuration.routes] == [listen]
    assert {decision.route for decision in configuration.decisions} == {":80"}


@pytest.mark.parametrize("routes", ["80=a:1 80=b:1", "*:80=a:1 127.0.0.1:80=b:1", "0.0.0.0:80=a:1 127.0.0.1:80=b:1"])
def test_explicit_routes_to_different_upstreams_clash(problems: Problems, routes: str) -> None:
    """Routes that overlap and dial different upstreams are one problem that shows both, whatever links there are."""
    first, second = routes.split()
    (line,) = problems({"AMBASSADOR_ROUTES": routes, "A_PORT_80_TCP": "tcp://c:1"})

    assert line.startswith(f"AMBASSADOR_ROUTES={second}: same listen address as {first}, but another upstream")


def test_a_link_is_no_second_problem_of_a_clash(problems: Problems) -> None:
    """Where explicit routes clash over a port, the links that want it are not told as another problem."""
    links = {"A_PORT_80_TCP": "tcp://10.0.0.1:80", "B_PORT_80_TCP": "tcp://10.0.0.2:80"}
    clash = {"AMBASSADOR_ROUTES": "80=c:80 80=d:80"}

    assert problems({**links, **clash}) == problems(clash)


def test_argument_and_variable_clash(problems: Problems) -> None:
    """Neither the command line nor the variable wins in silence."""
    (line,) = problems({"AMBASSADOR_ROUTES": "80=a:1"}, arguments=["80=b:1"])

    assert "AMBASSADOR_ROUTES=80=a:1" in line
    assert "80=b:1" in line


@pytest.mark.parametrize(
    "environ",
    [
        {"A_PORT_9901_TCP": "tcp://a:1"},
        {"AMBASSADOR_ROUTES": "9901=a:1"},
        {"AMBASSADOR_ROUTES": "127.0.0.1:9901=a:1"},
        {"AMBASSADOR_ROUTES": "10.0.0.1:80=a:1", "AMBASSADOR_ADMIN": "*:80"},
    ],
)
def test_clash_with_the_admin_address(problems: Problems, environ: dict[str, str]) -> None:
    """A route that listens where the admin server does is a problem that says how to move the latter."""
    (line,) = problems(environ)

    assert "AMBASSADOR_ADMIN=" in line
    assert line.endswith("give AMBASSADOR_ADMIN another port, or set it to off")


@pytest.mark.parametrize(
    "environ",
    [
        {"A_PORT_9901_TCP": "tcp://a:1", "AMBASSADOR_ADMIN": "off"},
        {"A_PORT_9901_TCP": "tcp://a:1", "AMBASSADOR_ADMIN": "127.0.0.1:9902"},
        {"AMBASSADOR_ROUTES": "10.0.0.1:9901=a:1"},
    ],
)
def test_no_clash_with_the_admin_address(configure: Configure, environ: dict[str, str]) -> None:
    """The admin server's port may be a route's at another address, or where the server is off."""
    assert len(configure(environ).routes) == 1


def test_link_to_follow_says_so(configure: Configure) -> None:
    """What is decided about Docker's own link tells that /etc/hosts is asked."""
    environ = {"A_PORT_80_TCP": "tcp://172.17.0.2:80", "A_PORT_80_TCP_ADDR": "172.17.0.2", "A_NAME": "/me/a"}

    assert reasons(configure(environ)) == {"A_PORT_80_TCP": ("a:80", "follows a in /etc/hosts")}


def test_a_name_does_not_hang_on_other_routes(configure: Configure) -> None:
    """A route that shares its port has the name that it has alone; an address of its LISTEN is always part of it."""
    words = ["127.0.0.1:80=a:1", "127.0.0.2:80=b:1", "[fd00::1]:80=c:1", "0.0.0.0:81=d:1", "*:82=e:1", ":83=f:1"]
    alone = [names(configure({"AMBASSADOR_ROUTES": word})) for word in words]
    together = names(configure({"AMBASSADOR_ROUTES": " ".join(words)}))

    assert together == {name: what for found in alone for name, what in found.items()}
    assert set(together) == {"127.0.0.1:80", "127.0.0.2:80", "[fd00::1]:80", "0.0.0.0:81", ":82", ":83"}


def test_a_name_has_alias_and_address(configure: Configure) -> None:
    """An explicit route that keeps a link's alias and names an address has both in its name."""
    environ = {"WEB_PORT_80_TCP": "tcp://web:80", "AMBASSADOR_BIND": "127.0.0.1"}
    routes = {"AMBASSADOR_ROUTES": "10.0.0.1:80=a:1 [fd00::1]:80=b:1 80=web:80"}

    assert set(names(configure(environ | routes))) == {"web:10.0.0.1:80", "web:[fd00::1]:80", "web:80"}


def test_a_merged_route_has_the_widest_address(configure: Configure) -> None:
    """Of routes that are one, the name has an address only where each of them names one, and then the widest."""
    assert set(names(configure({"AMBASSADOR_ROUTES": "127.0.0.1:80=a:1 0.0.0.0:80=a:1"}))) == {"0.0.0.0:80"}
    assert set(names(configure({"AMBASSADOR_ROUTES": "127.0.0.1:80=a:1 80=a:1"}))) == {":80"}
