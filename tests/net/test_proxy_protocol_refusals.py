"""What is no PROXY header, and is refused."""

from __future__ import annotations

import pytest

from ambassador.net.proxy_protocol import ProxyHeaderError, decode
from tests.net.headers import BLOCK4, binary


@pytest.mark.parametrize(
    "line",
    [
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 2 \r\n",
        "PROXY  TCP4 10.0.0.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4  10.0.0.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 10.0.0.07 10.0.0.1 1 2\r\n",
        "PROXY TCP4 10.0.0.256 10.0.0.1 1 2\r\n",
        "PROXY TCP4 10.0.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 10.0.0.7 10.0.0.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 ::1::2 ::1 1 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 01 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 -1 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 \u0662\r\n",
        "PROXY TCP4 10.0.0.7 10.0.0.1 1 2\n\r\n",
        "PROXY TCP4 localhost 10.0.0.1 1 2\r\n",
        "PROXY UDP4 10.0.0.7 10.0.0.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "proxy TCP4 10.0.0.7 10.0.0.1 1 2\r\n",
        "PROXY\tTCP4 10.0.0.7 10.0.0.1 1 2\r\n",
    ],
)
def test_a_line_that_is_not_exactly_right_is_refused(line: str) -> None:
    """Section 2.1: any sequence which does not exactly match the protocol ends the connection."""
    with pytest.raises(ProxyHeaderError):
        decode(line.encode())


@pytest.mark.parametrize(
    "header",
    [
        binary(0x11, 0x11, BLOCK4),
        binary(0x31, 0x11, BLOCK4),
        binary(0x22, 0x11, BLOCK4),
        binary(0x21, 0x41, BLOCK4),
        binary(0x21, 0x13, BLOCK4),
        binary(0x21, 0x11, BLOCK4[:-1]),
        binary(0x21, 0x21, BLOCK4),
        binary(0x21, 0x11, b""),
        binary(0x21, 0x11, BLOCK4 + b"\x04"),
        binary(0x21, 0x11, BLOCK4 + b"\x04\x00\x05four"),
        binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x04\x00\x00\x00\x00"),
        binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x03\x00\x00\x00"),
    ],
)
def test_a_binary_header_that_is_not_right_is_refused(header: bytes) -> None:
    """Unknown versions, commands, families and transports, cut-off blocks and fields, wrong checksums: section 2.2."""
    with pytest.raises(ProxyHeaderError):
        decode(header)


@pytest.mark.parametrize("data", [b"G", b"\x16\x03\x01", b"PROXZ", b"PROXY\r\n", b"\r\n\r\nGET", b"\r\r", b"PING\r\n"])
def test_what_cannot_become_a_header_is_refused_at_once(data: bytes) -> None:
    """The first byte that does not fit is enough: nobody waits for the deadline."""
    with pytest.raises(ProxyHeaderError):
        decode(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.1\r\n", "expected a PROXY header, received 'GET /'"),
        (b"\x16\x03\x01\x02\x00\x01", "expected a PROXY header, received '\\x16\\x03\\x01\\x02\\x00'"),
        (b"AUTH hunter2\r\n", "expected a PROXY header, received 'AUTH '"),
        (b"PROXY UNKNOWN".ljust(107, b" "), "no end of line within 107 bytes of a version 1 header"),
        (b"PROXY UDP4\r\n", "expected PROXY TCP4 or TCP6, two addresses and two ports, received 'PROXY UDP4'"),
        (b"PROXY TCP4 fd00::1 10.0.0.1 1 2\r\n", "expected an IPv4 address, received 'fd00::1'"),
        (b"PROXY TCP6 fd00::1 host 1 2\r\n", "expected an IPv6 address, received 'host'"),
        (b"PROXY TCP4 10.0.0.7 10.0.0.1 1 65536\r\n", "expected a port from 0 to 65535, received '65536'"),
        (binary(0x11, 0x11, BLOCK4), "expected version 2, LOCAL or PROXY (0x20 or 0x21), received 0x11"),
        (binary(0x21, 0x41, BLOCK4), "unknown address family and transport 0x41"),
        (binary(0x21, 0x11, BLOCK4[:-1]), "expected at least 12 bytes of addresses and ports, received 11"),
        (binary(0x21, 0x11, BLOCK4 + b"\x04"), "expected a field of at least 3 bytes, received 1"),
        (binary(0x21, 0x11, BLOCK4 + b"\x04\x00\x05four"), "expected 5 bytes in field 0x04, received 4"),
        (binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x03SUM"), "expected a checksum of 4 bytes, received 3"),
        (binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x04SUMS"), "expected the checksum 311b1ac4, received 53554d53"),
    ],
)
def test_a_refusal_says_what_was_expected_and_received(data: bytes, message: str) -> None:
    """The error of the access log names both sides; of what is no header it repeats too little to hold a secret."""
    with pytest.raises(ProxyHeaderError) as refused:
        decode(data)
    assert str(refused.value) == message
