"""Which addresses are this machine's own."""

from __future__ import annotations

import pytest

from ambassador.upstream.local import LocalAddresses


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
    ],
)
def test_own_addresses_are_told_from_others(address: str, *, own: bool) -> None:
    """Loopback and unspecified addresses reach this machine, documentation addresses do not, asked once or twice."""
    local = LocalAddresses()
    assert local.has(address) is own
    assert local.has(address) is own


def test_what_is_remembered_is_bounded() -> None:
    """However many addresses are asked for, what is kept does not grow without bound."""
    local = LocalAddresses()
    for number in range(3000):
        local.has(f"192.0.{number // 250}.{number % 250}")
    assert len(local._known) <= 1024
