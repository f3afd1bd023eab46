"""What holds for every environment: hypothesis tries to find one for which it does not."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.config.addresses import overlap, upstream_address
from ambassador.config.configuration import Configuration, read
from ambassador.config.hosts import parse_hosts
from ambassador.config.parsers import parse_duration
from ambassador.config.problems import LONGEST, Invalid, shown
from ambassador.config.settings import NAMES
from ambassador.errors import ConfigurationError
from ambassador.net.address import MAX_PORT, Address, bracketed

if TYPE_CHECKING:
    from random import Random

# A loaded machine must fail no test by its pace; the examples are the same at each run.
FEW = settings(deadline=None, derandomize=True, max_examples=300)

ANYTHING = st.text(st.characters(exclude_characters="\0"), max_size=20)
ALIASES = st.sampled_from(
    ["A", "B", "REDIS", "a", "MY.APP", "A_ENV_B", "AMBASSADOR", "AMBASSADOR_X", "KUBERNETES", "X_PORT_1"]
)
PORTS = st.one_of(
    st.integers(0, 70_000).map(str), st.sampled_from(["80", "080", "0", "9901", "9" * 5000, "٣", "", "+1"])
)
LINK_NAMES = st.builds("{}_PORT_{}_{}".format, ALIASES, PORTS, st.sampled_from(["TCP", "UDP", "SCTP", "tcp"]))
SETTING_NAMES = st.builds("AMBASSADOR_{}{}".format, st.sampled_from(sorted(NAMES)), st.sampled_from(["", "", "_FILE"]))
VARIABLES = st.one_of(
    LINK_NAMES,
    st.builds("{}{}".format, LINK_NAMES, st.sampled_from(["_ADDR", "_PORT", "_PROTO"])),
    st.builds("{}{}".format, ALIASES, st.sampled_from(["_NAME", "_PORT", "_SERVICE_HOST", "_ENV_B_PORT_80_TCP"])),
    SETTING_NAMES,
    st.builds("AMBASSADOR_{}".format, ANYTHING),
    ANYTHING,
)
PIECES = st.sampled_from(
    [
        "tcp://", "udp://", "TCP://", "a", "redis", "10.0.0.7", "[fd00::7]", "fd00::7", "[", "]", "%eth0", ":", ":80",
        ":0", ":9901", ",", " ", "0", "\n", "\x1b", "=", "80=", "*:81=", "/", "?", "#", "@", "!", "*", "off", "on",
        "10s", "5m", "10.0.0.0/8", "::ffff:10.0.0.1", "\ud800", "é", "/dev/null", "/", "v1", "source", "auto",
        "9" * 5000,
    ]
)  # fmt: skip
VALUES = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.just("tcp://a:1"), ANYTHING)
ENVIRONS = st.dictionaries(VARIABLES, VALUES, max_size=8)
HOSTS = st.one_of(st.just(""), st.text(max_size=80), st.just("172.17.0.2 redis 0123456789ab\n10.0.0.1 \x1b[31m\n"))
NAME_LETTERS = string.ascii_lowercase + string.digits + "_-"
HOST_NAMES = st.text(NAME_LETTERS, min_size=1, max_size=20).filter(lambda name: not name.isdigit() and name[:2] != "0x")
UNMAPPED = st.ip_addresses(v=6).filter(lambda address: getattr(address, "ipv4_mapped", None) is None)
HOST_ADDRESSES = st.one_of(st.ip_addresses(v=4), UNMAPPED)


def outcome(environ: dict[str, str], arguments: list[str], hosts: str) -> Configuration | ConfigurationError:
    """Read a configuration; whatever is raised but the one error that may be, fails the test."""
    try:
        return read(environ, arguments=arguments, hosts=hosts, python=(3, 13))
    except ConfigurationError as error:
        return error


@FEW
@given(ENVIRONS, st.lists(VALUES, max_size=3), HOSTS)
def test_no_environment_crashes_the_parser(environ: dict[str, str], arguments: list[str], hosts: str) -> None:
    """An environment is a configuration, or a list of problems of one printable line of a bearable length each."""
    result = outcome(environ, arguments, hosts)

    if isinstance(result, ConfigurationError):
        assert result.problems
        for problem in result.problems:
            assert str(problem).isprintable()
            assert len(str(problem)) < 10 * LONGEST
    else:
        for warning in result.warnings:
            assert warning.isprintable()
        for decision in result.decisions:
            assert decision.variable.isprintable()
            assert decision.value.isprintable()


@FEW
@given(ENVIRONS, st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_what_is_accepted_can_be_served(environ: dict[str, str], ports: list[int]) -> None:
    """Routes have names of their own, addresses that no other one listens on, and endpoints that can be dialled."""
    links = {f"L{number}_PORT_{port}_TCP": f"tcp://h{port}:1" for number, port in enumerate(ports)}
    result = outcome(environ | links, [], "")

    if isinstance(result, Configuration):
        assert result.routes
        assert len({route.name for route in result.routes}) == len(result.routes)
        listens = [listen for route in result.routes for listen in route.listen]
        if result.settings.admin:
            listens.append(result.settings.admin)
        for index, listen in enumerate(listens):
            assert 1 <= listen.port <= MAX_PORT
            assert not any(overlap(listen, other) for other in listens[:index])
        for route in result.routes:
            assert route.endpoints
            for endpoint in route.endpoints:
                assert upstream_address(str(endpoint.address)) == endpoint.address


@FEW
@given(ENVIRONS, st.randoms(use_true_random=False))
def test_order_of_the_environment_makes_no_difference(environ: dict[str, str], random: Random) -> None:
    """The same variables in another order are the same configuration, or the same problems."""
    items = list(environ.items())
    random.shuffle(items)

    one, other = outcome(environ, [], ""), outcome(dict(items), [], "")

    if isinstance(one, ConfigurationError):
        assert str(one) == str(other)
    else:
        assert one == other


@FEW
@given(st.sampled_from(["A_PORT_80_TCP", "A_PORT_80_UDP", "AMBASSADOR_ROUTES", "a_port_80_tcp"]), VALUES, VALUES, HOSTS)
def test_no_password_comes_out(variable: str, before: str, after: str, hosts: str) -> None:
    """What stands before an @ in a link or a route is in no line, decision or warning."""
    value = f"tcp://{before}hunter2@{after}" if variable != "AMBASSADOR_ROUTES" else f"80=hunter2@{after}"

    assert "hunter2" not in repr(outcome({variable: value, "B_PORT_81_TCP": "tcp://b:1"}, [], hosts))


@FEW
@given(
    st.text(string.ascii_uppercase + string.digits + "_.", min_size=1, max_size=20).filter(
        lambda alias: not alias.startswith("AMBASSADOR_") and alias != "KUBERNETES"
    ),
    st.integers(1, MAX_PORT),
    st.lists(
        st.tuples(st.one_of(HOST_NAMES, HOST_ADDRESSES.map(str)), st.integers(1, MAX_PORT)), min_size=1, max_size=4
    ),
)
def test_every_good_link_becomes_its_route(alias: str, port: int, upstreams: list[tuple[str, int]]) -> None:
    """A link with any alias, port and endpoints is the route that it says."""
    value = ",".join(f"tcp://{bracketed(host)}:{number}" for host, number in upstreams)

    (route,) = read({f"{alias}_PORT_{port}_TCP": value, "AMBASSADOR_ADMIN": "off"}).routes

    assert route.name == f"{alias.lower()}:{port}"
    assert route.listen == (Address("", port),)
    expected = dict.fromkeys(Address(host, number) for host, number in upstreams)
    assert [endpoint.address for endpoint in route.endpoints] == list(expected)


@FEW
@given(st.text())
def test_shown_is_one_printable_line(value: str) -> None:
    """Whatever is shown is printable and no longer than allowed."""
    assert shown(value).isprintable()
    assert len(shown(value)) <= LONGEST


@FEW
@given(st.text(), st.sampled_from(["", "127.0.0.1 a b\n"]))
def test_no_hosts_file_crashes_its_parser(text: str, first: str) -> None:
    """Any text is a hosts file, and nonsense hides no line before it."""
    names = parse_hosts(first + text)

    assert not first or names["a"][0] == "127.0.0.1"


@FEW
@given(st.text())
def test_durations_are_numbers_or_refused(text: str) -> None:
    """No text makes a duration that is negative, infinite or no number."""
    try:
        seconds = parse_duration(text)
    except Invalid:
        return
    assert 0 <= seconds < 10**13


@FEW
@given(st.integers(0, 10**9 - 1), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)]))
def test_every_duration_is_read(number: int, unit: tuple[str, float]) -> None:
    """A number with a unit is that many of the unit."""
    assert parse_duration(f"{number}{unit[0]}") == number * unit[1]
