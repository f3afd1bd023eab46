"""The text of /etc/hosts."""

from __future__ import annotations

import pytest

from ambassador.config.hosts import parse_hosts

DOCKER = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
172.17.0.2\tredis 0123456789ab redis_1
172.17.0.3\tba9876543210
"""


def test_every_name_of_a_line_has_its_address() -> None:
    """A link's alias, container id and container name lead to the same address."""
    names = parse_hosts(DOCKER)

    assert names["redis"] == names["0123456789ab"] == names["redis_1"] == ("172.17.0.2",)


def test_name_on_several_lines_has_all_addresses_in_order() -> None:
    """A name that is there twice has both addresses, IPv6 among them, in the order of the file."""
    assert parse_hosts(DOCKER)["localhost"] == ("127.0.0.1", "::1")
    assert parse_hosts("10.0.0.2 a\n10.0.0.1 b a\n10.0.0.2 a")["a"] == ("10.0.0.2", "10.0.0.1")


def test_names_are_in_lower_case() -> None:
    """Capitals make no difference in a name."""
    assert parse_hosts("10.0.0.1 Redis")["redis"] == ("10.0.0.1",)


def test_comments_and_nonsense_say_nothing() -> None:
    """Comments, lines without names, and lines without an address that can be dialled are passed over."""
    text = "# 10.0.0.1 a\n10.0.0.2 b # c\n10.0.0.3\nnonsense d\n10.0.0.400 e\nfe80::1%eth0 f\n\n \x00\n"

    assert parse_hosts(text) == {"b": ("10.0.0.2",)}


def test_mapped_address_counts_as_ipv4() -> None:
    """An IPv4-mapped address is the IPv4 address that it maps."""
    assert parse_hosts("::ffff:10.0.0.1 a")["a"] == ("10.0.0.1",)


def test_windows_line_ends_are_line_ends() -> None:
    """A carriage return is no part of a name."""
    assert parse_hosts("10.0.0.1 a\r\n10.0.0.2 b\r\n") == {"a": ("10.0.0.1",), "b": ("10.0.0.2",)}


@pytest.mark.parametrize("mark", ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_only_a_line_feed_ends_a_comment(mark: str) -> None:
    """What else may pass for the end of a line does not bring an address out of a comment, as with the C library."""
    assert parse_hosts(f"# old:{mark}10.0.0.3 redis\n10.0.0.2 redis\n") == {"redis": ("10.0.0.2",)}
    assert "redis" not in parse_hosts(f"10.0.0.4 web # old:{mark}10.0.0.3 redis\n")


@pytest.mark.parametrize("blank", ["\t", " ", "\v", "\f", "\r"])
def test_blanks_are_those_of_ascii(blank: str) -> None:
    """Every blank of ASCII separates names, also before the address."""
    assert parse_hosts(f"{blank}10.0.0.2{blank}{blank}a{blank}b{blank}\n") == {"a": ("10.0.0.2",), "b": ("10.0.0.2",)}


@pytest.mark.parametrize("blank", ["\xa0", "\u2003", "\x1f", "\x85", "\ufeff"])
def test_blanks_beyond_ascii_separate_nothing(blank: str) -> None:
    """A blank that the C library does not know is part of a name, and spoils an address."""
    assert parse_hosts(f"10.0.0.2 a{blank}b\n10.0.0.3{blank}c\n{blank}10.0.0.4 d") == {f"a{blank}b": ("10.0.0.2",)}


def test_nothing_is_seen_behind_a_zero_byte() -> None:
    """The C library sees of a line what stands before a zero byte, and goes on with the next line."""
    text = "10.0.0.2 a\0 b\n\00010.0.0.3 c\n10.0.0.4\0 d\n10.0.0.5 e"

    assert parse_hosts(text) == {"a": ("10.0.0.2",), "e": ("10.0.0.5",)}


def test_only_capitals_of_ascii_make_no_difference() -> None:
    """A sign that Unicode calls a capital K is no k."""
    assert parse_hosts("10.0.0.3 \u212aeycloak\n10.0.0.2 Keycloak") == {
        "\u212aeycloak": ("10.0.0.3",), "keycloak": ("10.0.0.2",),
    }  # fmt: skip
