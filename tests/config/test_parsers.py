"""The values of settings, each from its text."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.config import parsers
from ambassador.config.problems import Invalid
from ambassador.net.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25), ("10s", 10), ("5m", 300), ("1h", 3600), ("10", 10), ("0", 0), ("0ms", 0), ("1.5s", 1.5),
        ("0.5", 0.5), ("10S", 10), ("010", 10), ("1m30s", 90), ("1h30m", 5400), ("1H2m3s4ms", 3723.004), ("0m0s", 0),
        ("1m500ms", 60.5),
    ],
)  # fmt: skip
def test_duration(text: str, seconds: float) -> None:
    """A duration has numbers of hours, minutes, seconds and milliseconds, or one alone, which means seconds."""
    assert parsers.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "s",
        "10 s",
        "1m30",
        "30s1m",
        "1m1m",
        "1m 30s",
        "1ms1s",
        "1d",
        "1e3",
        ".5",
        "5.",
        "off",
        "inf",
        "nan",
        "٣s",
        "1_0",
        "9" * 5000,
    ],
)
def test_duration_refused(text: str) -> None:
    """What invalid duration is refused with examples of one."""
    with pytest.raises(Invalid, match="250ms, 10s, 5m or 1h"):
        parsers.parse_duration(text)


def test_positive_duration() -> None:
    """A duration that must not be 0 refuses 0 in every unit."""
    assert parsers.positive_duration("1ms") == 0.001
    for text in ("0", "0s", "0.0"):
        with pytest.raises(Invalid, match="must not be 0"):
            parsers.positive_duration(text)


def test_keepalive() -> None:
    """Keepalive is off or within what the kernel takes."""
    assert [parsers.keepalive(text) for text in ("0", "1", "60s", "32767")] == [0, 1, 60, 32767]
    for text in ("500ms", "32768", "24h"):
        with pytest.raises(Invalid, match="1s to 32767s"):
            parsers.keepalive(text)


def test_choice() -> None:
    """A choice does not mind capitals, and a refusal names all options."""
    read = parsers.choice("auto", "json", "console")

    assert read("JSON") == "json"
    with pytest.raises(Invalid, match="expected auto, json or console"):
        read("xml")


def test_on_off() -> None:
    """A switch is on or off."""
    assert parsers.on_off("on") is True
    assert parsers.on_off("Off") is False
    with pytest.raises(Invalid, match="expected on or off"):
        parsers.on_off("true")


def test_connections() -> None:
    """A number of connections is at least one."""
    assert parsers.connections("1") == 1
    assert parsers.connections("0100") == 100
    for text in ("0", "-1", "1.0", "1e3", "", "٣", "9" * 5000):
        with pytest.raises(Invalid):
            parsers.connections(text)


def test_workers() -> None:
    """A number of processes is at least one; auto is one a core."""
    assert [parsers.workers(text) for text in ("1", "8", "auto", "AUTO", "1024")] == [1, 8, 0, 0, 1024]
    for text in ("0", "-1", "1025", "two", "9" * 5000):
        with pytest.raises(Invalid, match="or auto"):
            parsers.workers(text)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("*", ("",)),
        ("0.0.0.0", ("0.0.0.0",)),
        ("::", ("",)),
        ("0.0.0.0,::", ("",)),
        ("127.0.0.1, [::1]", ("127.0.0.1", "::1")),
        ("127.0.0.1,0.0.0.0", ("0.0.0.0",)),
        ("::ffff:127.0.0.1", ("127.0.0.1",)),
        ("10.0.0.1,10.0.0.1", ("10.0.0.1",)),
    ],
)
def test_bind_hosts(text: str, hosts: tuple[str, ...]) -> None:
    """Listen addresses that could not be bound beside each other come down to those that can."""
    assert parsers.bind_hosts(text) == hosts


@pytest.mark.parametrize("text", ["10.0.0.1,", "eth0", "10.0.0.1:80", "10.0.0.0/8", "localhost"])
def test_bind_hosts_refused(text: str) -> None:
    """A port, a network, a name or an interface is no listen address."""
    with pytest.raises(Invalid):
        parsers.bind_hosts(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9901", Address("127.0.0.1", 9901)),
        ("[::1]:9901", Address("::1", 9901)),
        (":9901", Address("", 9901)),
        ("*:9901", Address("", 9901)),
        ("OFF", None),
    ],
)
def test_admin_address(text: str, address: Address | None) -> None:
    """The admin address has a port, and may be off."""
    assert parsers.admin_address(text) == address


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("9901", "write 127.0.0.1:9901, or"),
        ("0", "from 1 to 65535"),
        ("on", "expected ADDRESS:PORT, such as 127.0.0.1:9901"),
        ("127.0.0.1", "ADDRESS:PORT"),
        ("localhost:9901", "write 127.0.0.1:9901$"),
        ("127.0.0.1:0", "from 1 to 65535"),
        ("none", "ADDRESS:PORT"),
    ],
)
def test_admin_address_refused(text: str, right: str) -> None:
    """A bare port is refused, for it may be meant for this machine alone or for all."""
    with pytest.raises(Invalid, match=right):
        parsers.admin_address(text)


def test_admin_token() -> None:
    """A token is long enough, can stand in a header, and is in no message."""
    assert parsers.admin_token("0123456789abcdef") == "0123456789abcdef"
    for text in ("0123456789abcde", "0123456789 abcdef", "0123456789abcdefß"):
        with pytest.raises(Invalid) as caught:
            parsers.admin_token(text)
        assert "01234" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.0.0.7, fd00::/8", ["10.0.0.7/32", "fd00::/8"]),
        ("0.0.0.0/0,::/0", ["0.0.0.0/0", "::/0"]),
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"]),
        ("::ffff:10.0.0.7", ["10.0.0.7/32"]),
        ("::ffff:0:0/96", ["0.0.0.0/0"]),
    ],
)
def test_networks(text: str, networks: list[str]) -> None:
    """Networks are CIDRs or single addresses, and IPv4-mapped ones count as IPv4."""
    assert parsers.networks(text) == tuple(map(ip_network, networks))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("10.0.0.7/8", "write 10.0.0.0/8 for the whole network, or 10.0.0.7 for this address"),
        ("10.0.0.0/33", "expected networks like"),
        ("10.0.0.0/255.0.0.0", "expected networks like"),
        ("10.0.0.0/-1", "expected networks like"),
        ("10.0.0/8", "expected networks like"),
        ("fe80::%eth0/64", "expected networks like"),
        ("redis", "expected networks like"),
        ("10.0.0.0/8,", "expected a list like"),
        ("10.0.0.0/8 fd00::/8", "expected networks like"),
    ],
)
def test_networks_refused(text: str, right: str) -> None:
    """A list that lets in others than meant is refused rather than guessed at."""
    with pytest.raises(Invalid, match=right):
        parsers.networks(text)


def test_peers() -> None:
    """Peers are DNS or URI names; an address is no name in a certificate that we look for."""
    assert parsers.peers("a.example, spiffe://example/b") == ("a.example", "spiffe://example/b")
    for text in ("10.0.0.1", "a b", "a,", "*.example", "fd00::1"):
        with pytest.raises(Invalid) as caught:
            parsers.peers(text)
        assert "10.0.0.7" not in caught.value.right


def test_path() -> None:
    """A path is taken as it is, but no system takes one with a zero byte."""
    assert parsers.path("/run/secrets/key") == Path("/run/secrets/key")
    for text in ("/run\0", "/run\ud800"):
        with pytest.raises(Invalid):
            parsers.path(text)


READERS = [
    parsers.parse_duration, parsers.positive_duration, parsers.keepalive, parsers.choice("a", "b"), parsers.on_off,
    parsers.connections, parsers.workers, parsers.bind_hosts, parsers.admin_address, parsers.admin_token,
    parsers.networks, parsers.peers,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "text", ["\0", "\ud800", "\n", "," * 1000, "9" * 100_000, "1." * 50_000, "::" * 50_000, "[", "%"]
)
def test_nothing_but_invalid_comes_out(read: Callable[[str], object], text: str) -> None:
    """No text makes a reader of values fail in any other way than by saying that it is invalid."""
    with contextlib.suppress(Invalid):
        read(text)


@pytest.mark.parametrize(
    "text", ['"/keys/tunnel.key"', "'/keys/tunnel.key'", "/keys/tunnel.key # of the tunnel", '"/keys']
)
def test_path_in_quotes_or_with_a_comment_is_refused(text: str) -> None:
    """What an env file's reader left around a path is named, since a file of that name is not there."""
    with pytest.raises(Invalid, match="remove the"):
        parsers.path(text)


def test_path_may_have_an_apostrophe() -> None:
    """A quote within a path is part of it."""
    assert parsers.path("/it's/here#1") == Path("/it's/here#1")


def test_token_in_quotes_is_refused() -> None:
    """A token whose quotes nobody meant would be another one than the user sends."""
    with pytest.raises(Invalid, match="remove the quotes"):
        parsers.admin_token('"0123456789abcdef"')
