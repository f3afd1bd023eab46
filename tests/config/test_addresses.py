"""HOST:PORT, strictly."""

from __future__ import annotations

import pytest

from ambassador.config.addresses import (
    canonical_ip,
    host_name,
    listen_address,
    listen_host,
    overlap,
    port_number,
    upstream_address,
    without_covered,
)
from ambassador.config.problems import Invalid
from ambassador.net.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("172.17.0.2:6379", Address("172.17.0.2", 6379)),
        ("redis:6379", Address("redis", 6379)),
        ("Redis.Example.:6379", Address("redis.example.", 6379)),
        ("my_project-redis_1:6379", Address("my_project-redis_1", 6379)),
        ("[fd00::7]:6379", Address("fd00::7", 6379)),
        ("[FD00:0::7]:6379", Address("fd00::7", 6379)),
        ("[::ffff:10.0.0.7]:80", Address("10.0.0.7", 80)),
        ("[::ffff:a00:7]:80", Address("10.0.0.7", 80)),
        ("redis:080", Address("redis", 80)),
        ("redis:65535", Address("redis", 65535)),
        ("0123456789ab:1", Address("0123456789ab", 1)),
    ],
)
def test_upstream_address(text: str, address: Address) -> None:
    """A host is an IPv4 address, an IPv6 address in brackets, or a name; one host is written in one way only."""
    assert upstream_address(text) == address


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("redis", "has no port", "write tcp://redis:6379"),
        ("redis:", "has no port", "write tcp://redis:6379"),
        (":6380", "has no host", "write tcp://HOST:6380"),
        ("6380", "has no host", "write tcp://HOST:6380"),
        ("", "has no host", "write tcp://HOST:6379"),
        (":", "has no host", "write tcp://HOST:6379"),
        (
            "٣",
            "has the host '٣', which is neither an address nor a name",
            "a host is like 10.0.0.7, [fd00::7] or redis.example",
        ),
        (":٣", "has no host", "write tcp://HOST:6379"),
        (":0", "has no host", "write tcp://HOST:6379"),
        ("fe80::1%lo:80", "has the zone '%lo'", "write an address without a zone"),
        ("fd00::1:٣", "has several colons; an IPv6 address needs brackets", "write tcp://[fd00::1]:6379"),
        ("redis:6379/", "has a path", "write tcp://redis:6379"),
        ("redis/0", "has a path", "write tcp://HOST:6379"),
        ("redis:6379?db=0", "has a path", "write tcp://redis:6379"),
        ("fd00::1:6379", "has several colons; an IPv6 address needs brackets", "write tcp://[fd00::1]:6379"),
        ("fd00::1", "has several colons; an IPv6 address needs brackets", "write tcp://[ADDRESS]:6379"),
        ("::", "has several colons; an IPv6 address needs brackets", "write tcp://[ADDRESS]:6379"),
        ("[fd00::1]", "has no port", "write tcp://[fd00::1]:6379"),
        ("[redis]:1", "has 'redis' in brackets", "brackets are for IPv6 addresses, like [fd00::7]"),
        ("[10.0.0.1]:1", "has '10.0.0.1' in brackets", "brackets are for IPv6 addresses, like [fd00::7]"),
        ("[]:1", "has '' in brackets", "brackets are for IPv6 addresses, like [fd00::7]"),
        ("[fd00::1:1", "has brackets that do not enclose the host", "write tcp://[ADDRESS]:6379"),
        ("[fd00::1]1", "has brackets that do not enclose the host", "write tcp://[ADDRESS]:6379"),
        ("[fe80::1%eth0]:1", "has the zone '%eth0'", "write an address without a zone"),
        ("redis:x", "has the port 'x', which is no number", "a port is a number from 1 to 65535"),
        ("redis:+1", "has the port '+1', which is no number", "a port is a number from 1 to 65535"),
        ("redis:٣", "has the port '٣', which is no number", "a port is a number from 1 to 65535"),
        ("redis:0", "has the port '0'", "a port is a number from 1 to 65535"),
        ("redis:65536", "has the port '65536'", "a port is a number from 1 to 65535"),
        ("10.0.0:1", "has the host '10.0.0', which is no IPv4 address", "an IPv4 address is like 10.0.0.7"),
        ("010.0.0.1:1", "has the host '010.0.0.1', which is no IPv4 address", "an IPv4 address is like 10.0.0.7"),
        ("a.0x7f:1", "has the host 'a.0x7f', which is no IPv4 address", "an IPv4 address is like 10.0.0.7"),
    ],
)
def test_upstream_address_refused(text: str, wrong: str, right: str) -> None:
    """What is nearly an address is refused with the right way to write it."""
    with pytest.raises(Invalid) as caught:
        upstream_address(text, scheme="tcp://", port="6379")

    assert (caught.value.wrong, caught.value.right) == (wrong, right)


@pytest.mark.parametrize(
    "host", ["a b", "a..b", ".", ".a", "größe", "a" * 64, "a." * 127 + "a", "a\n", "a\0", "*", "$(id)"]
)
def test_host_that_cannot_be_looked_up_is_refused(host: str) -> None:
    """A host that no name service takes is a configuration error, not a failure of every dial."""
    with pytest.raises(Invalid, match="neither an address nor a name"):
        host_name(host)


@pytest.mark.parametrize("text", ["0", "000", "9" * 5000, "65536", "", "-1", "1.0", " 1", "²"])
def test_port_that_does_not_exist_is_refused(text: str) -> None:
    """No text crashes the reading of a port, also not one of thousands of digits."""
    with pytest.raises(Invalid):
        port_number(text)


def test_port_with_many_leading_zeros() -> None:
    """Leading zeros make no difference, however many."""
    assert port_number("0" * 5000 + "80") == 80


@pytest.mark.parametrize(
    ("text", "host"),
    [("*", ""), ("::", ""), ("[::]", ""), ("0.0.0.0", "0.0.0.0"), ("[::1]", "::1"), ("::1", "::1"), ("::0:1", "::1")],
)
def test_listen_host(text: str, host: str) -> None:
    """`*` and `::` are every address there is, 0.0.0.0 every IPv4 address."""
    assert listen_host(text) == host


@pytest.mark.parametrize(
    ("text", "right"),
    [("localhost", "write 127.0.0.1"), ("eth0", "IPv4 or IPv6"), ("", "IPv4 or IPv6"), ("fe80::1%eth0", "zone")],
)
def test_listen_host_refused(text: str, right: str) -> None:
    """A name is no address to listen on."""
    with pytest.raises(Invalid, match=right):
        listen_host(text)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("80", (None, 80)),
        (":80", (None, 80)),
        ("*:80", ("", 80)),
        ("[::]:80", ("", 80)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[::ffff:127.0.0.1]:80", ("127.0.0.1", 80)),
    ],
)
def test_listen_address(text: str, listen: tuple[str | None, int]) -> None:
    """A listen address may be no more than a port."""
    assert listen_address(text) == listen


@pytest.mark.parametrize("text", ["0", "65536", "127.0.0.1", "127.0.0.1:", "::1:80", "redis:80", "", "[::1]", ":", "x"])
def test_listen_address_refused(text: str) -> None:
    """Port 0 would be another port at each start, and what has no port is no listen address."""
    with pytest.raises(Invalid):
        listen_address(text)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Address("", 80), Address("127.0.0.1", 80), False),
        (Address("", 80), Address("::1", 80), False),
        (Address("0.0.0.0", 80), Address("127.0.0.1", 80), False),
        (Address("0.0.0.0", 80), Address("", 80), False),
        (Address("::1", 80), Address("::1", 80), False),
        (Address("0.0.0.0", 80), Address("::1", 80), True),
        (Address("127.0.0.1", 80), Address("127.0.0.2", 80), True),
        (Address("", 80), Address("", 81), True),
    ],
)
def test_overlap(one: Address, other: Address, *, both: bool) -> None:
    """Two sockets can listen on one port only where neither address covers the other, whichever comes first."""
    assert overlap(one, other) is not both
    assert overlap(other, one) is not both


@pytest.mark.parametrize(
    ("hosts", "left"),
    [
        (("0.0.0.0", ""), ("",)),
        (("10.0.0.1", "0.0.0.0", "::1"), ("0.0.0.0", "::1")),
        (("10.0.0.1", "10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.2")),
    ],
)
def test_without_covered(hosts: tuple[str, ...], left: tuple[str, ...]) -> None:
    """What is left covers all that was there, and can be listened on together."""
    assert without_covered(hosts) == left


def test_canonical_ip_of_what_is_none() -> None:
    """A name is no address."""
    assert canonical_ip("redis") is None
    assert canonical_ip("") is None
