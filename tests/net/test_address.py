"""Addresses as configuration and logs write them."""

from __future__ import annotations

import pytest

from ambassador.net.address import Address, bracketed, is_ip, unmapped


@pytest.mark.parametrize(
    ("host", "text"), [("10.0.0.7", "10.0.0.7:80"), ("redis", "redis:80"), ("fd00::7", "[fd00::7]:80"), ("", ":80")]
)
def test_an_address_is_written_with_ipv6_in_brackets(host: str, text: str) -> None:
    """Only an IPv6 host stands in brackets; no host is every address."""
    assert str(Address(host, 80)) == text
    assert bracketed(host) == text.removesuffix(":80")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("10.0.0.7", True), ("::1", True), ("redis", False), ("", False), ("10.0.0", False), ("[::1]", False)],
)
def test_addresses_are_told_from_names(host: str, *, expected: bool) -> None:
    """Only whole IPv4 and IPv6 addresses are addresses."""
    assert is_ip(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("::ffff:10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("10.0.0.7", "10.0.0.7"), ("fd00::7", "fd00::7")],
)
def test_mapped_addresses_count_as_ipv4(host: str, expected: str) -> None:
    """An IPv4-mapped IPv6 address is written as the IPv4 address that it is, and nothing else changes."""
    assert unmapped(host) == expected
