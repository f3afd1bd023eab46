"""PROXY headers, as a stranger may send them: the input is what a client sends first."""

from __future__ import annotations

import ipaddress

from ambassador.net.address import Address
from ambassador.net.proxy_protocol import LONGEST as LONGEST_HEADER
from ambassador.net.proxy_protocol import Header, ProxyHeaderError, decode, encode

WORDS = (
    b"PROXY ", b"TCP4", b"TCP6", b"UNKNOWN", b" ", b"\r\n", b"\n", b"10.0.0.7", b"fd00::7", b"::ffff:10.0.0.7",
    b"%eth0", b"0", b"65535", b"65536", b"\r\n\r\n\0\r\nQUIT\n", b"\x20", b"\x21", b"\x11", b"\x12", b"\x31",
    b"\0\x0c", b"\0\x24", b"\x03\0\x04", b"\x04\0\0", b"\x3f\xfd",
)  # fmt: skip
# Each input is decoded once for each of its bytes.
LONGEST = 512
# Characters: 107 bytes of a line, all of them escaped, and the words around them.
_LONGEST_REASON = 600

_Verdict = Header | str | None


def check(data: bytes) -> None:
    """Decode what comes, at once and byte by byte, and encode what came out."""
    at_once = _verdict(data)
    for size in range(len(data) + 1):
        early = _verdict(data[:size])
        if isinstance(early, Header):
            # Complete with its last byte, not later; what follows does not matter.
            assert early.size == size
            assert at_once == early
            break
        if early is not None:
            # With more bytes another word may be the one that is wrong.
            assert isinstance(at_once, str)
            break
    else:
        assert at_once is None
        assert _verdict(data + bytes(LONGEST_HEADER)) is not None, "waits for more than it may hold"
    if isinstance(at_once, Header) and at_once.source and at_once.destination:
        _comes_back(at_once.source, at_once.destination, data)
    _comes_back(_address(data[:18]), _address(data[18:36]), data)


def _verdict(received: bytes) -> _Verdict:
    try:
        header = decode(received)
    except ProxyHeaderError as error:
        return _fit_for_a_log(str(error))
    if header is not None:
        assert header.size <= min(len(received), LONGEST_HEADER)
        assert (header.source is None) == (header.destination is None)
    return header


def _fit_for_a_log(reason: str) -> str:
    assert reason.isprintable()
    assert len(reason) <= _LONGEST_REASON
    return reason


def _address(data: bytes) -> Address:
    """Make any address of a few bytes."""
    size = 16 if len(data) == 18 else 4
    packed, port = data[:size].ljust(size, b"\0"), int.from_bytes(data[size:][-2:])
    address = ipaddress.ip_address(packed)
    return Address(str((address.version == 6 and address.ipv4_mapped) or address), port)


def _comes_back(source: Address, destination: Address, following: bytes) -> None:
    for version in ("v1", "v2"):
        header = encode(version, source, destination)
        assert decode(header + following) == Header(source, destination, len(header))
        assert all(decode(header[:size]) is None for size in range(len(header)))
