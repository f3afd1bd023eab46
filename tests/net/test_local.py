"""Which addresses are this machine's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ambassador.net.local import LocalAddresses
from tests.support.process import environment
from tests.support.wire import wire


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


def test_an_address_with_a_scope_is_as_bind_has_it() -> None:
    """The route to an address with a scope cannot be asked for; that it may be bound is enough, and needed."""
    local = LocalAddresses()
    assert local.has("::1%1")
    assert not local.has("fe80::1%1")


def test_what_is_remembered_is_bounded() -> None:
    """However many addresses are asked for, what is kept does not grow without bound."""
    local = LocalAddresses()
    for number in range(3000):
        local.has(f"192.0.{number // 250}.{number % 250}")
    assert len(local._known) <= 1024


def test_an_address_that_may_be_bound_is_not_own_for_that() -> None:
    """Where ip_nonlocal_bind lets anybody bind any address, only those that are routed here are this machine's own."""
    program = (
        "from ambassador.net.local import LocalAddresses\n"
        "local = LocalAddresses()\n"
        "print([local.has(address) for address in ('192.0.2.1', '2001:db8::1', '{there}', '127.9.9.9', '::1')])\n"
    )
    with wire() as net:
        for family in ("ipv4", "ipv6"):
            net.inside("sysctl", "-qw", f"net.{family}.ip_nonlocal_bind=1")
        done = subprocess.run(
            [*net.prefix, sys.executable, "-c", program.format(there=net.there)],
            env=environment({}),
            capture_output=True,
            check=True,
            text=True,
        )
    assert done.stdout == "[False, False, True, True, True]\n"
