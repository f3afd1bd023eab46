"""Link variables, as Docker and Kubernetes set them and users write them."""

from __future__ import annotations

import pytest

from ambassador.config.filter import LinkFilter
from ambassador.config.links import Link, Links, find_links, link_name
from ambassador.config.routes import Decision, Endpoint
from ambassador.net.address import Address

# What Docker 28.5 sets for --link redis:redis, the exposed port 6379, and a variable of the image's own.
DOCKER = {
    "REDIS_PORT": "tcp://172.17.0.2:6379",
    "REDIS_PORT_6379_TCP": "tcp://172.17.0.2:6379",
    "REDIS_PORT_6379_TCP_ADDR": "172.17.0.2",
    "REDIS_PORT_6379_TCP_PORT": "6379",
    "REDIS_PORT_6379_TCP_PROTO": "tcp",
    "REDIS_PORT_6379_TCP_START": "tcp://172.17.0.2:6379",
    "REDIS_PORT_6379_TCP_END": "tcp://172.17.0.2:6380",
    "REDIS_PORT_6379_TCP_PORT_START": "6379",
    "REDIS_PORT_6379_TCP_PORT_END": "6380",
    "REDIS_NAME": "/redis_ambassador/redis",
    "REDIS_ENV_REDIS_VERSION": "8.0",
    "PATH": "/usr/bin",
}


def find(environ: dict[str, str]) -> Links:
    """Find the links that there are without a filter."""
    return find_links(environ, LinkFilter())


def one(environ: dict[str, str]) -> Link:
    """Return the only link of an environment without a problem."""
    found = find(environ)
    assert not found.problems
    assert len(found.links) == 1
    return found.links[0]


def only_problem(environ: dict[str, str]) -> str:
    """Return the only problem of an environment without a link."""
    found = find(environ)
    assert not found.links
    assert len(found.problems) == 1
    return str(found.problems[0])


def test_dockers_variables_make_one_link() -> None:
    """Of all that Docker sets for a link, one variable a port makes a link, which follows the alias."""
    found = find(DOCKER)

    endpoint = Endpoint(Address("172.17.0.2", 6379), "redis")
    assert found.links == [Link("REDIS_PORT_6379_TCP", "tcp://172.17.0.2:6379", "redis", 6379, (endpoint,))]
    assert not found.ignored
    assert not found.warnings


def test_port_of_the_name_may_differ_from_the_values() -> None:
    """The name says where to listen, the value whom to dial."""
    link = one({"REDIS_PORT_1234_TCP": "tcp://192.168.1.52:6379"})

    assert link.port == 1234
    assert link.endpoints == (Endpoint(Address("192.168.1.52", 6379)),)


@pytest.mark.parametrize(
    ("variable", "parts"),
    [
        ("REDIS_PORT_6379_TCP", ("REDIS", "6379", "TCP")),
        ("MY.APP_1_PORT_53_UDP", ("MY.APP_1", "53", "UDP")),
        ("X_PORT_1_PORT_80_TCP", ("X_PORT_1", "80", "TCP")),
        ("X_PORT_1_TCP_PORT_80_TCP", ("X_PORT_1_TCP", "80", "TCP")),
        ("redis_PORT_080_TCP", ("redis", "080", "TCP")),
        ("A_PORT_1_SCTP", ("A", "1", "SCTP")),
        ("_PORT_80_TCP", None),
        ("A_PORT_TCP", None),
        ("A_PORT__TCP", None),
        ("A_PORT_x_TCP", None),
        ("A_PORT_٣_TCP", None),
        ("A_PORT_80_TCP ", None),
        ("A_PORT_80_TCP\n", None),
        ("A B_PORT_80_TCP", None),
        ("A_PORT_80_TCP_ADDR", None),
        ("PORT_80_TCP", None),
    ],
)
def test_link_name(variable: str, parts: tuple[str, str, str] | None) -> None:
    """The last _PORT_ of a name is the one that counts, and a name needs an alias without white space."""
    assert link_name(variable) == parts


@pytest.mark.parametrize("value", ["tcp://a:1,tcp://b:2", "tcp://a:1, tcp://b:2", " tcp://a:1,tcp://b:2,tcp://a:1\r\n"])
def test_several_endpoints_keep_their_order(value: str) -> None:
    """Endpoints are separated by commas; white space around them and a repetition make no difference."""
    link = one({"A_PORT_80_TCP": value})

    assert [str(endpoint.address) for endpoint in link.endpoints] == ["a:1", "b:2"]


def test_scheme_in_capitals() -> None:
    """The scheme of a URL may be in capitals (RFC 3986, section 3.1)."""
    assert one({"A_PORT_80_TCP": "TCP://a:1"}).endpoints == (Endpoint(Address("a", 1)),)


@pytest.mark.parametrize(
    ("change", "alias"),
    [
        ({}, "redis"),
        ({"REDIS_NAME": "/web/My-Redis"}, "My-Redis"),
        ({"REDIS_NAME": "redis"}, "redis"),
        ({"REDIS_NAME": "/web/"}, None),
        ({"REDIS_PORT_6379_TCP_ADDR": "172.17.0.9"}, None),
        ({"REDIS_PORT_6379_TCP_ADDR": ""}, None),
        ({"REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379"}, None),
        ({"REDIS_PORT_6379_TCP": "tcp://172.17.0.2:6379,tcp://172.17.0.2:6380"}, None),
        ({"REDIS_PORT_6379_TCP": "tcp://172.17.0.2:7777"}, "redis"),
        ({"REDIS_PORT_6379_TCP": "tcp://[fd00::2]:6379", "REDIS_PORT_6379_TCP_ADDR": "FD00::2"}, "redis"),
    ],
)
def test_which_links_follow_their_alias(change: dict[str, str], alias: str | None) -> None:
    """A link is looked up by its alias where Docker made it, not where the user wrote over its value."""
    assert one(DOCKER | change).endpoints[0].hosts_alias == alias


@pytest.mark.parametrize("missing", ["REDIS_NAME", "REDIS_PORT_6379_TCP_ADDR"])
def test_link_that_docker_did_not_make_has_no_alias_to_follow(missing: str) -> None:
    """Kubernetes sets no _NAME, users no _ADDR: their values stand."""
    environ = {name: value for name, value in DOCKER.items() if name != missing}

    assert one(environ).endpoints[0].hosts_alias is None


def test_kubernetes_variables() -> None:
    """A Service's variables make a link for each TCP port; the API server's make none."""
    found = find(
        {
            "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
            "KUBERNETES_DASHBOARD_PORT_443_TCP": "tcp://[fc00::919e]:443",
            "KUBERNETES_DASHBOARD_PORT_443_TCP_ADDR": "fc00::919e",
            "KUBERNETES_DASHBOARD_SERVICE_HOST": "fc00::919e",
        }
    )

    assert [link.alias for link in found.links] == ["kubernetes_dashboard"]
    assert found.links[0].endpoints == (Endpoint(Address("fc00::919e", 443)),)
    assert [decision.variable for decision in found.ignored] == ["KUBERNETES_PORT_443_TCP"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("8080", "not a link: the value is a bare number"),
        ("", "not a link: empty value"),
        ("  ", "not a link: empty value"),
    ],
)
def test_value_that_is_no_link(value: str, reason: str) -> None:
    """A Kubernetes port named 8080-tcp makes a variable that is named like a link; it is ignored, and said to be."""
    found = find({"WEB_SERVICE_PORT_8080_TCP": value})

    assert found.ignored == [Decision("WEB_SERVICE_PORT_8080_TCP", value.strip(), None, reason)]
    assert not found.links
    assert not found.problems


@pytest.mark.parametrize(
    ("copy", "name"),
    [
        ("APP_ENV_APP_PORT_5000_TCP", "APP_NAME"),
        ("APP_ENV_B_ENV_C_PORT_5000_TCP", "APP_NAME"),
        ("X_ENV_APP_ENV_C_PORT_5000_TCP", "X_ENV_APP_NAME"),
        ("APP_ENV_C_PORT_53_UDP", "APP_NAME"),
    ],
)
def test_copies_are_no_links(copy: str, name: str) -> None:
    """What Docker copied from a linked container is no link, and no problem or warning whatever its value."""
    found = find({copy: "nonsense", name: "/me/app"})

    assert [decision.variable for decision in found.ignored] == [copy]
    assert "copied from" in found.ignored[0].reason
    assert found == Links(ignored=found.ignored)


def test_env_in_an_alias_without_a_name_is_no_copy() -> None:
    """A Kubernetes Service called app-env-x has no _NAME, so its variable is a link."""
    assert one({"APP_ENV_X_PORT_80_TCP": "tcp://a:1"}).alias == "app_env_x"


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_other_protocols_are_told_of_once(protocol: str) -> None:
    """A link that is not TCP is ignored with a decision and one warning that names it."""
    found = find({f"DNS_PORT_53_{protocol}": f"{protocol.lower()}://10.0.0.1:53"})

    assert [decision.reason for decision in found.ignored] == [f"{protocol} links are not supported"]
    assert len(found.warnings) == 1
    assert f"DNS_PORT_53_{protocol}=" in found.warnings[0]


def test_filtered_link_may_be_broken() -> None:
    """A link that AMBASSADOR_LINKS leaves out is neither a problem nor a warning."""
    found = find_links({"A_PORT_0_TCP": "x", "A_PORT_53_UDP": "udp://b:53"}, LinkFilter(off=True))

    assert [decision.reason for decision in found.ignored] == ["AMBASSADOR_LINKS is off"] * 2
    assert found == Links(ignored=found.ignored)


def test_name_in_small_letters_is_told_of() -> None:
    """A name that would be a link in capitals is ignored, and said to be."""
    found = find({"redis_port_6379_tcp": "tcp://a:1"})

    assert not found.links
    assert "upper case" in found.ignored[0].reason


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ('"tcp://redis:6379"', "quotes in the value; remove the quotes"),
        ("'tcp://redis:6379'", "quotes in the value; remove the quotes"),
        ('tcp://redis:6379"', "quotes in the value; remove the quotes"),
        ('""', "quotes in the value; remove the quotes"),
        ("tcp://redis:6379 # the cache", "comment in the value; remove the comment"),
        ("# tcp://redis:6379", "comment in the value; remove the comment"),
        ('"tcp://redis:6379" # it\'s', "quotes and comment in the value; remove the quotes and the comment"),
    ],
)
def test_what_an_env_file_leaves_in_a_value_is_named(value: str, line: str) -> None:
    """Quotes and comments, which `docker run --env-file` keeps, are told as such."""
    assert only_problem({"A_PORT_80_TCP": value}).endswith(f": {line}")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("A_PORT_80_TCP", "10.0.0.7:6379", "missing tcp://; write tcp://10.0.0.7:6379"),
        ("A_PORT_80_TCP", "redis", "missing tcp://; write tcp://HOST:80"),
        ("A_PORT_80_TCP", "udp://a:1", "unsupported scheme 'udp'; write tcp://a:1"),
        ("A_PORT_80_TCP", "http://a/x", "unsupported scheme 'http'; write tcp://HOST:80"),
        ("A_PORT_80_TCP", "://a:1", "unsupported scheme ''; write tcp://a:1"),
        ("A_PORT_80_TCP", "tcp:/a:1", "missing tcp://; write tcp://HOST:80"),
        ("A_PORT_80_TCP", "tcp://a", "missing port; write tcp://a:80"),
        ("A_PORT_80_TCP", "tcp://:6379", "missing host; write tcp://HOST:6379"),
        ("A_PORT_80_TCP", "tcp://fd00::1:81", "IPv6 address without brackets; write tcp://[fd00::1]:81"),
        ("A_PORT_80_TCP", "tcp://a:1/", "unexpected path or query; write tcp://a:1"),
        ("A_PORT_80_TCP", "tcp://a:0", "invalid port '0'; expected a number from 1 to 65535"),
        ("A_PORT_80_TCP", "tcp://a:65536", "invalid port '65536'; expected a number from 1 to 65535"),
        ("A_PORT_80_TCP", "-1", "missing tcp://; write tcp://HOST:80"),
        ("A_PORT_80_TCP", "tcp://a:1,", "empty item in the list; write tcp://HOST:80,tcp://HOST:80"),
        ("A_PORT_80_TCP", "tcp://a:1,b:2", "missing tcp://, in 'b:2'; write tcp://b:2"),
        (
            "A_PORT_80_TCP",
            "tcp://a:1 tcp://b:2",
            "white space; separate endpoints with commas: tcp://HOST:80,tcp://HOST:80",
        ),
        ("A_PORT_0_TCP", "tcp://a:1", "invalid port '0' in the variable's name; expected a number from 1 to 65535"),
        (
            "A_PORT_65536_TCP",
            "tcp://a:1",
            "invalid port '65536' in the variable's name; expected a number from 1 to 65535",
        ),
    ],
)
def test_malformed_link(variable: str, value: str, line: str) -> None:
    """A malformed link is a problem that names the variable, its value, what is wrong and what would be right."""
    problem = only_problem({variable: value})

    assert problem.startswith(f"{variable}={value}: ")
    assert problem.endswith(line)


def test_password_in_a_link_is_never_shown() -> None:
    """A user and a password are refused and masked, also in what is ignored."""
    value = "tcp://user:hunter2,x@a:1"
    assert only_problem({"A_PORT_80_TCP": value}) == (
        "A_PORT_80_TCP=tcp://***@a:1: unexpected user or password; write tcp://HOST:80"
    )

    ignored = find_links({"A_PORT_80_TCP": value}, LinkFilter(off=True)).ignored
    assert ignored[0].value == "tcp://***@a:1"


def test_every_malformed_link_is_found() -> None:
    """One malformed link hides no other, and no good one."""
    found = find({"A_PORT_80_TCP": "a", "B_PORT_81_TCP": "b", "C_PORT_82_TCP": "tcp://c:1"})

    assert [problem.variable for problem in found.problems] == ["A_PORT_80_TCP", "B_PORT_81_TCP"]
    assert [link.alias for link in found.links] == ["c"]
