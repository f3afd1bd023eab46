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
        ("app.web.1:6379", Address("app.web.1", 6379)),
        ("postgres-15.3:5432", Address("postgres-15.3", 5432)),
        ("a.0x7f:1", Address("a.0x7f", 1)),
        ("1.0.x.2.:1", Address("1.0.x.2.", 1)),
    ],
)
def test_upstream_address(text: str, address: Address) -> None:
    """A host is an IPv4 address, an IPv6 address in brackets, or a name; one host is written in one way only."""
    assert upstream_address(text) == address


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.Example", "xn--mnchen-3ya.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("redis_1。例え.jp", "redis_1.xn--r8jz45g.jp"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ],
)
def test_international_name_is_asked_for_as_name_servers_know_it(text: str, name: str) -> None:
    """A name in letters beyond ASCII becomes its A-labels by IDNA 2008, in which ß is a letter of its own."""
    assert host_name(text) == name


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("redis", "missing port", "write tcp://redis:6379"),
        ("redis:", "missing port", "write tcp://redis:6379"),
        (":6380", "missing host", "write tcp://HOST:6380"),
        ("6380", "missing host", "write tcp://HOST:6380"),
        ("", "missing host", "write tcp://HOST:6379"),
        (":", "missing host", "write tcp://HOST:6379"),
        (
            "٣",
            "invalid host '٣'",
            "expected an address or a name, like 10.0.0.7, [fd00::7] or redis.example",
        ),
        (":٣", "missing host", "write tcp://HOST:6379"),
        (":0", "missing host", "write tcp://HOST:6379"),
        ("fe80::1%lo:80", "unexpected zone '%lo'", "write the address without its zone"),
        ("fd00::1:٣", "IPv6 address without brackets", "write tcp://[fd00::1]:6379"),
        ("redis:6379/", "unexpected path or query", "write tcp://redis:6379"),
        ("re\ufeffdis:6379/", "unexpected path or query", "write tcp://redis:6379"),
        ("redis/0", "unexpected path or query", "write tcp://HOST:6379"),
        ("redis:6379?db=0", "unexpected path or query", "write tcp://redis:6379"),
        ("fd00::1:6379", "IPv6 address without brackets", "write tcp://[fd00::1]:6379"),
        ("fd00::1", "IPv6 address without brackets", "write tcp://[ADDRESS]:6379"),
        ("::", "IPv6 address without brackets", "write tcp://[ADDRESS]:6379"),
        ("[fd00::1]", "missing port", "write tcp://[fd00::1]:6379"),
        ("[redis]:1", "invalid IPv6 address 'redis' in brackets", "expected one like [fd00::7]"),
        ("[10.0.0.1]:1", "invalid IPv6 address '10.0.0.1' in brackets", "expected one like [fd00::7]"),
        ("[]:1", "invalid IPv6 address '' in brackets", "expected one like [fd00::7]"),
        ("[fd00::1:1", "misplaced brackets", "write tcp://[ADDRESS]:6379"),
        ("[fd00::1]1", "misplaced brackets", "write tcp://[ADDRESS]:6379"),
        ("[fe80::1%eth0]:1", "unexpected zone '%eth0'", "write the address without its zone"),
        ("redis:x", "invalid port 'x'", "expected a number from 1 to 65535"),
        ("redis:+1", "invalid port '+1'", "expected a number from 1 to 65535"),
        ("redis:٣", "invalid port '٣'", "expected a number from 1 to 65535"),
        ("redis:0", "invalid port '0'", "expected a number from 1 to 65535"),
        ("redis:65536", "invalid port '65536'", "expected a number from 1 to 65535"),
        ("10.0.0:1", "invalid IPv4 address '10.0.0'", "expected four numbers, like 10.0.0.7"),
        ("010.0.0.1:1", "invalid IPv4 address '010.0.0.1'", "expected four numbers, like 10.0.0.7"),
        ("10.1:1", "invalid IPv4 address '10.1'", "expected four numbers, like 10.0.0.7"),
        ("0x7f.1:1", "invalid IPv4 address '0x7f.1'", "expected four numbers, like 10.0.0.7"),
        ("10.0.0.0.7:1", "invalid IPv4 address '10.0.0.0.7'", "expected four numbers, like 10.0.0.7"),
        ("\uff11\uff10.0.0:1", "invalid IPv4 address '\uff11\uff10.0.0'", "expected four numbers, like 10.0.0.7"),
    ],
)
def test_upstream_address_refused(text: str, wrong: str, right: str) -> None:
    """What is nearly an address is refused with the right way to write it."""
    with pytest.raises(Invalid) as caught:
        upstream_address(text, scheme="tcp://", port="6379")

    assert (caught.value.wrong, caught.value.right) == (wrong, right)


@pytest.mark.parametrize(
    "host", ["a b", "a..b", ".", ".a", "a\u0300\u200b ", "-ü", "a" * 64, "a." * 127 + "a", "a\n", "a\0", "*", "$(id)"]
)
def test_host_that_cannot_be_looked_up_is_refused(host: str) -> None:
    """A host that no name service takes is a configuration error, not a failure of every dial."""
    with pytest.raises(Invalid, match="invalid host '"):
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
    """Port 0 would be another port at each start, and what missing port is no listen address."""
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
