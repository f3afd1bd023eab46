"""What is said when there is no route at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ambassador.config.no_routes import linked_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Problems = Callable[..., list[str]]

OWN = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
172.17.0.3\tba9876543210
"""
REDIS = "172.17.0.2\tredis 0123456789ab redis_1\n"
APP = "172.17.0.4\tMy-App 1123456789ab\n"


def test_nothing_at_all(problems: Problems) -> None:
    """Without any variable the one problem says what was looked for and what to add."""
    (line,) = problems({"PATH": "/usr/bin"}, hosts=OWN)

    assert line == (
        "no route: found neither a link variable <ALIAS>_PORT_<n>_TCP=tcp://HOST:PORT nor AMBASSADOR_ROUTES; "
        "add one, for example -e REDIS_PORT_6379_TCP=tcp://redis:6379"
    )


def test_link_in_the_hosts_file_without_variables(problems: Problems) -> None:
    """A linked name in /etc/hosts leads to Docker 29, and to the very option that makes the link by name."""
    (line,) = problems({"HOSTNAME": "ba9876543210"}, hosts=OWN + REDIS)

    assert "/etc/hosts shows redis, but Docker Engine 29 and later no longer set link variables" in line
    assert line.endswith("; add -e REDIS_PORT_<PORT>_TCP=tcp://redis:<PORT>")


def test_advice_for_several_links(problems: Problems) -> None:
    """Each linked name gets its option, with the letters and marks that Docker would have used."""
    (line,) = problems({}, hosts=OWN + REDIS + APP)

    assert line.endswith(
        "add -e REDIS_PORT_<PORT>_TCP=tcp://redis:<PORT> -e MY_APP_PORT_<PORT>_TCP=tcp://my-app:<PORT>"
    )


def test_known_port_is_in_the_advice(problems: Problems) -> None:
    """Where <ALIAS>_PORT tells the port, there is nothing left to fill in."""
    (line,) = problems({"REDIS_PORT": "tcp://172.17.0.2:6379"}, hosts=REDIS)

    assert line.endswith("add -e REDIS_PORT_6379_TCP=tcp://redis:6379")


def test_advice_makes_a_route(configure: Callable[..., Configuration], problems: Problems) -> None:
    """The option that is advised, with its port filled in, is a configuration that serves."""
    (line,) = problems({}, hosts=REDIS)
    name, _, value = line.rpartition(" -e ")[2].replace("<PORT>", "6379").partition("=")

    assert [route.name for route in configure({name: value}).routes] == ["redis:6379"]


def test_many_links_are_not_all_shown(problems: Problems) -> None:
    """A long hosts file does not make a long line."""
    (line,) = problems({}, hosts="".join(f"10.0.0.{number} name{number} x{number}\n" for number in range(1, 100)))

    assert "name1, name2, name3 and 96 more" in line
    assert line.count(" -e ") == 3


def test_linked_name_with_variables_needs_no_advice(problems: Problems) -> None:
    """A link whose variables are there, but ignored, is explained by why they are."""
    (line,) = problems({"REDIS_PORT_6379_TCP": "tcp://172.17.0.2:6379", "AMBASSADOR_LINKS": "web"}, hosts=REDIS)

    assert "Docker Engine 29" not in line
    assert "ignored: REDIS_PORT_6379_TCP (AMBASSADOR_LINKS does not include it)" in line


@pytest.mark.parametrize("links", ["rediss", "off", "!*", "web,!redis"])
def test_a_link_that_the_setting_leaves_out_needs_the_setting(problems: Problems, links: str) -> None:
    """Where AMBASSADOR_LINKS is why there is no route, nobody is told to add what it would leave out again."""
    environ = {"AMBASSADOR_LINKS": links}
    (with_link,) = problems(environ | {"REDIS_PORT_6379_TCP": "tcp://172.17.0.2:6379"}, hosts=REDIS)
    (with_name,) = problems(environ, hosts=REDIS)
    (with_nothing,) = problems(environ)

    assert with_link.endswith("; correct or unset AMBASSADOR_LINKS")
    assert with_name.endswith(
        "; correct or unset AMBASSADOR_LINKS, and add -e REDIS_PORT_<PORT>_TCP=tcp://redis:<PORT>"
    )
    assert "; correct or unset AMBASSADOR_LINKS, and add one" in with_nothing


def test_a_pod_s_host_aliases_are_no_fault_of_docker(problems: Problems) -> None:
    """In Kubernetes, names in /etc/hosts are not taken for links that have lost their variables."""
    (line,) = problems({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, hosts=REDIS)

    assert "Docker" not in line
    assert "/etc/hosts" not in line


def test_ignored_variables_are_listed_shortly(problems: Problems) -> None:
    """What looked like links is listed with its reason, the first three of it."""
    (line,) = problems({f"S{number}_PORT_80_TCP": "80" for number in range(9)})

    assert "S0_PORT_80_TCP (not a link: the value is a bare number), S1_PORT_80_TCP (not a link" in line
    assert "and 6 more" in line


@pytest.mark.parametrize(
    "environ",
    [
        {"A_PORT_80_TCP": "nonsense"},
        {"AMBASSADOR_ROUTES": "nonsense"},
        {"AMBASSADOR_LINKS": "a;b"},
        {"A_PORT_80_TCP": "tcp://a:1", "B_PORT_80_TCP": "tcp://b:1"},
    ],
)
def test_another_problem_is_enough(problems: Problems, environ: dict[str, str]) -> None:
    """Where the only link or route is wrong, nobody is told that there is none."""
    (line,) = problems(environ)

    assert not line.startswith("no route")


def test_misspelt_setting_is_told_beside(problems: Problems) -> None:
    """A misspelt AMBASSADOR_ROUTES is told of, and so is that there is no route."""
    first, second = problems({"AMBASSADOR_ROUTE": "redis:6379"})

    assert first.endswith("did you mean AMBASSADOR_ROUTES?")
    assert second.startswith("no route")


@pytest.mark.parametrize(
    ("hosts", "own", "names"),
    [
        (OWN, "", []),
        (OWN + REDIS + APP, "", ["redis", "my-app"]),
        ("172.17.0.3 me.example me\n172.17.0.2 redis x", "me", ["redis"]),
        ("10.0.0.5 my-pod\n", "My-Pod", []),
        ("172.17.0.1 host.docker.internal\n172.17.0.1 gateway.docker.internal", "", []),
        ("10.0.0.5 db\n10.0.0.6 db", "", ["db"]),
        ("127.0.0.2 debian\n127.0.1.1 me.localdomain me\n", "", []),
    ],
)
def test_linked_names(hosts: str, own: str, names: list[str]) -> None:
    """What every hosts file has and the container's own line are no links; each name is shown once."""
    assert list(linked_names(hosts, own)) == names
