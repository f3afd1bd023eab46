"""Hosts files: the input is one."""

from __future__ import annotations

import ipaddress

from ambassador.config.hosts import parse_hosts

WORDS = (
    b"127.0.0.1", b"::1", b"10.0.0.7", b"::ffff:10.0.0.7", b"fe80::1%eth0", b"localhost", b"Redis", b"a", b" ", b"\t",
    b"\n", b"\r", b"#", b"\0", b"\xc2\xa0", b"\xff", b"\xe2\x84\xaa", b"\x0b",
)  # fmt: skip
LONGEST = 400


def check(data: bytes) -> None:
    """Parse it, and with a line of our own before and after it."""
    text = data.decode("utf-8", "replace")
    for name, addresses in parse_hosts(text).items():
        assert name.encode().split() == [name.encode()]  # by the C library only ASCII has white space
        assert addresses
        for address in addresses:
            assert str(ipaddress.ip_address(address)) == address
    framed = parse_hosts(f"10.9.8.7 our.own\n{text}\n10.9.8.6 OUR.own\n")["our.own"]
    assert framed[0] == "10.9.8.7"
    assert "10.9.8.6" in framed
