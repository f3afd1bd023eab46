"""The names of variables: what hides in one, and which are what Docker makes of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ambassador.config.filter import LinkFilter
from ambassador.config.links import Links, find_links

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]

LINK = {"A_PORT_80_TCP": "tcp://a:1"}


def find(environ: dict[str, str]) -> Links:
    """Find the links of an environment, of which all are wanted."""
    return find_links(environ, LinkFilter())


@pytest.mark.parametrize(
    "variable",
    [
        "\ufeffREDIS_PORT_6379_TCP", " REDIS_PORT_6379_TCP", "\tREDIS_PORT_6379_TCP", "REDIS_PORT_6379_TCP ",
        "\u200bREDIS_PORT_6379_TCP", "\xa0REDIS_PORT_6379_TCP", "REDIS_PORT _6379_TCP", "REDIS_PORT_6379_TCP\r",
        "\udcef\udcbb\udcbfREDIS_PORT_6379_TCP", '"REDIS_PORT_6379_TCP',
    ],
)  # fmt: skip
def test_mark_in_a_name_hides_no_link(variable: str) -> None:
    """A link is served, and told of, whatever invisible thing an editor left in its name."""
    found = find({variable: "tcp://a:1", "A_PORT_80_TCP": "tcp://b:1"})

    assert [(link.source, link.alias) for link in found.links if link.port == 6379] == [
        ("REDIS_PORT_6379_TCP", "redis")
    ]
    (warning,) = found.warnings
    assert warning.endswith("read as REDIS_PORT_6379_TCP; its name has quotes, blanks or marks in it")
    assert warning.isprintable()


def test_name_without_a_mark_comes_first() -> None:
    """Of two variables that differ in what nobody sees the plain one is the link, and the other is told of."""
    found = find({"\ufeffREDIS_PORT_6379_TCP": "tcp://b:1", "REDIS_PORT_6379_TCP": "tcp://a:1"})

    assert [str(link.endpoints[0].address) for link in found.links] == ["a:1"]
    assert [decision.reason for decision in found.ignored] == ["not a link: REDIS_PORT_6379_TCP is set as well"]
    assert len(found.warnings) == 1


@pytest.mark.parametrize("alias", ["CAF\xc9", "CAF\udcc9"])
def test_alias_beyond_ascii_is_told_of(alias: str) -> None:
    """A name that would be a link but for a letter that no alias has is ignored, and said to be, also as a warning."""
    found = find({f"{alias}_PORT_80_TCP": "tcp://a:1"})

    assert not found.links
    assert "beyond ASCII" in found.ignored[0].reason
    assert len(found.warnings) == 1


def test_what_docker_makes_of_the_alias_ambassador_is_no_setting(configure: Configure) -> None:
    """A container linked as ambassador is a link as any other, and none of its variables is a setting."""
    configuration = configure(
        {
            "AMBASSADOR_PORT": "tcp://172.17.0.2:6379",
            "AMBASSADOR_PORT_6379_TCP": "tcp://172.17.0.2:6379",
            "AMBASSADOR_PORT_6379_TCP_ADDR": "172.17.0.2",
            "AMBASSADOR_NAME": "/web/ambassador",
            "AMBASSADOR_ENV_AMBASSADOR_ADMIN": "off",
            "AMBASSADOR_ENV_REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379",
            "AMBASSADOR_SERVICE_HOST": "10.0.0.1",
            "AMBASSADOR_SERVICE_PORT_REDIS": "6379",
        }
    )

    assert [route.name for route in configuration.routes] == ["ambassador:6379"]
    assert configuration.routes[0].endpoints[0].hosts_alias == "ambassador"


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_what_docker_makes_of_an_alias_like_ambassador_redis_is_no_setting(configure: Configure, protocol: str) -> None:
    """The variables of an alias that begins with ambassador are no settings where there is a link of that alias."""
    configuration = configure(
        LINK
        | {
            "AMBASSADOR_REDIS_PORT": "tcp://172.17.0.2:6379",
            f"AMBASSADOR_REDIS_PORT_6379_{protocol}": f"{protocol.lower()}://172.17.0.2:6379",
            f"AMBASSADOR_REDIS_PORT_6379_{protocol}_PROTO": protocol.lower(),
            "AMBASSADOR_REDIS_NAME": "/web/ambassador-redis",
            "AMBASSADOR_REDIS_ENV_HOME": "/",
            "AMBASSADOR_REDIS_SERVICE_HOST": "10.0.0.1",
        }
    )

    names = {"TCP": ["a:80", "ambassador_redis:6379"], "UDP": ["a:80"]}
    assert [route.name for route in configuration.routes] == names[protocol]


@pytest.mark.parametrize("alias", ["ambassador-cache", "Ambassador_Cache"])
def test_alias_without_ports_is_no_setting(configure: Configure, alias: str) -> None:
    """Docker sets a name and an environment also for a linked container that exposes no port."""
    linked = {
        "AMBASSADOR_CACHE_NAME": f"/target/{alias}",
        "AMBASSADOR_CACHE_ENV_VERSION": "1.6",
        "AMBASSADOR_CACHE_ENV_AMBASSADOR_ADMIN": "off",
    }

    assert configure(LINK | linked) == configure(LINK)


@pytest.mark.parametrize("value", ["", "cache", "/ambassador-cache", "/target/cache", "/a/b/ambassador-cache"])
def test_name_that_docker_did_not_make_is_a_misspelt_setting(problems: Problems, value: str) -> None:
    """AMBASSADOR_CACHE_NAME is Docker's where its value is /CONTAINER/ALIAS, and only then its kin is a link's."""
    assert len(problems(LINK | {"AMBASSADOR_CACHE_NAME": value, "AMBASSADOR_CACHE_ENV_X": "1"})) == 2


@pytest.mark.parametrize("mark", ["\ufeff", " ", "\t", '"', "\u200b"])
@pytest.mark.parametrize("name", ["TUNNEL", "ADMIN_FILE"])
def test_mark_in_a_name_hides_no_setting(problems: Problems, mark: str, name: str) -> None:
    """A setting that would not be read for something invisible in its name is a problem, not silence."""
    for variable in (f"{mark}AMBASSADOR_{name}", f"AMBASSADOR_{name}{mark}"):
        (problem,) = problems(LINK | {variable: "off"})
        assert problem.endswith(f": quotes, blanks or invisible characters in the name; write AMBASSADOR_{name}")
        assert problem.isprintable()
