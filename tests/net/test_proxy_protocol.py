"""PROXY protocol headers, checked against the specification's words and against another implementation."""

from __future__ import annotations

import ipaddress
import struct
from socket import SOCK_STREAM
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from ambassador.net.address import Address
from ambassador.net.proxy_protocol import LONGEST, Header, ProxyHeaderError, decode, encode
from tests.net.headers import BLOCK4, SIGNATURE, binary

ORACLES = {"v1": ProxyProtocolV1(), "v2": ProxyProtocolV2()}

versions = st.sampled_from(["v1", "v2"])
ports = st.integers(0, 65535)
ipv4 = st.builds(Address, st.ip_addresses(v=4).map(str), ports)
# What is mapped comes out as IPv4, which other tests look at.
unmapped = st.ip_addresses(v=6).filter(lambda address: getattr(address, "ipv4_mapped", None) is None)
ipv6 = st.builds(Address, unmapped.map(str), ports)
pairs = st.tuples(ipv4, ipv4) | st.tuples(ipv6, ipv6)


def read(end: object) -> tuple[str, int]:
    """Return the host and the port that another implementation has read for one end."""
    assert isinstance(end, tuple)
    return str(end[0]), end[1]


CLIENT4, SERVER4 = Address("10.0.0.7", 50001), Address("10.0.0.1", 6379)


@settings(deadline=None)
@given(versions, pairs)
def test_what_is_encoded_is_understood_by_another_implementation(
    version: Literal["v1", "v2"], pair: tuple[Address, Address]
) -> None:
    """The library proxy-protocol reads both addresses out of our header."""
    result = ORACLES[version].unpack(encode(version, *pair))

    assert read(result.source) == (pair[0].host, pair[0].port)
    assert read(result.dest) == (pair[1].host, pair[1].port)


@settings(deadline=None)
@given(versions, pairs, st.binary(max_size=50))
def test_what_another_implementation_encodes_is_understood(
    version: Literal["v1", "v2"], pair: tuple[Address, Address], unique: bytes
) -> None:
    """Headers of the library proxy-protocol, in version 2 with a field behind the addresses, name both addresses."""
    ends = [(ipaddress.ip_address(end.host), end.port) for end in pair]
    kind: Any = ProxyResultIPv4 if ends[0][0].version == 4 else ProxyResultIPv6
    header = ORACLES[version].pack(kind(*ends, protocol=SOCK_STREAM, tlv=ProxyProtocolTLV(unique_id=unique)))

    assert decode(header) == Header(*pair, len(header))


@settings(deadline=None)
@given(versions, pairs, st.binary(max_size=20))
def test_a_header_is_whole_at_its_last_byte_and_not_before(
    version: Literal["v1", "v2"], pair: tuple[Address, Address], stream: bytes
) -> None:
    """No beginning of a header is taken for one, and the stream behind it is not counted in."""
    header = encode(version, *pair)

    assert [decode(header[:size]) for size in range(len(header))] == [None] * len(header)
    assert decode(header + stream) == Header(*pair, len(header))


@example("v1", Address("10.100.100.100", 10000), Address("1000:1000:1000:1000:1000:1000:1000:1000", 10000))
@settings(deadline=None)
@given(versions, ipv4, ipv6)
def test_mixed_families_are_written_as_ipv6(version: Literal["v1", "v2"], four: Address, six: Address) -> None:
    """An IPv4 client of an IPv6 server is itself again behind a header that can hold IPv6 only."""
    header = encode(version, four, six)

    assert b"." not in header or version == "v2"
    assert decode(header) == Header(four, six, len(header))
    assert read(ORACLES[version].unpack(header).dest)[0] == six.host


@settings(deadline=None)
@given(versions, st.ip_addresses(v=4).map(str), ipv4)
def test_mapped_addresses_count_as_ipv4(version: Literal["v1", "v2"], host: str, server: Address) -> None:
    """A dual-stack socket's ::ffff:10.0.0.7 is sent as 10.0.0.7, in an IPv4 header."""
    assert encode(version, Address(f"::ffff:{host}", 1), server) == encode(version, Address(host, 1), server)


@pytest.mark.parametrize("written", ["::ffff:10.0.0.7", "::FFFF:a00:7", "0000:0000:0000:0000:0000:ffff:0a00:0007"])
def test_mapped_addresses_are_received_as_ipv4(written: str) -> None:
    """However a sender writes a mapped address, the client is an IPv4 one."""
    header = decode(f"PROXY TCP6 {written} ::1 1 2\r\n".encode())

    assert header is not None
    assert header.source == Address("10.0.0.7", 1)


def test_a_zone_is_left_out() -> None:
    """A link-local client's interface is of no use to anyone else."""
    header = encode("v1", Address("fe80::1%eth0", 1), Address("fe80::2%3", 2))

    assert header == b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"


def test_the_specifications_example() -> None:
    """The example line of section 2.1 is written and read as it stands there."""
    line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    client, server = Address("192.168.0.1", 56324), Address("192.168.0.11", 443)

    assert encode("v1", client, server) == line
    assert decode(line + b"GET / HTTP/1.1\r\n") == Header(client, server, len(line))


@pytest.mark.parametrize("known", [(None, None), (CLIENT4, None), (None, SERVER4)])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_unknown_address_is_said_to_be_unknown(
    version: Literal["v1", "v2"], known: tuple[Address | None, Address | None]
) -> None:
    """Without both addresses the receiver is told to take those of its socket."""
    header = encode(version, *known)

    assert header == {"v1": b"PROXY UNKNOWN\r\n", "v2": SIGNATURE + b"\x20\0\0\0"}[version]
    assert decode(header) == Header(None, None, len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN \xff\x00 anything at all\n\r\n",
        ProxyProtocolV2().pack(ProxyResultLocal(tlv=ProxyProtocolTLV(unique_id=b"probe"))),
        binary(0x20, 0x11, BLOCK4),
        binary(0x20, 0xFF, b"ignored"),
        binary(0x21, 0x00, b""),
        binary(0x21, 0x00, b"not a field"),
        binary(0x21, 0x12, BLOCK4),
        binary(0x21, 0x10, BLOCK4),
        binary(0x21, 0x31, bytes(216)),
    ],
)
def test_headers_without_a_tcp_client_keep_the_sockets_address(header: bytes) -> None:
    """UNKNOWN, LOCAL, UDP and Unix sockets are accepted, skipped to their last byte, and name nobody."""
    assert decode(header + b"stream") == Header(None, None, len(header))


def crc32c(data: bytes) -> int:
    """Divide bit by bit, as the definition says (RFC 3720, appendix B.4, has the examples)."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ 0x82F63B78 * (rest & 1)
    return rest ^ 0xFFFFFFFF


def with_checksum(fields: bytes) -> bytes:
    """Build a header of version 2 with a checksum in front of other *fields*."""
    zeroed = binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x04\x00\x00\x00\x00" + fields)
    return zeroed.replace(b"\x03\x00\x04\x00\x00\x00\x00", b"\x03\x00\x04" + crc32c(zeroed).to_bytes(4, "big"))


def test_a_checksum_holds_for_the_whole_header() -> None:
    """A header whose checksum fits is accepted, and refused when any byte of its addresses is another."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    header = with_checksum(b"\x04\x00\x03pad")
    assert decode(header) == Header(CLIENT4, SERVER4, len(header))

    for position in range(16, 28):
        damaged = bytearray(header)
        damaged[position] ^= 1
        with pytest.raises(ProxyHeaderError, match="checksum"):
            decode(bytes(damaged))


def test_a_second_checksum_is_refused() -> None:
    """Nobody makes us compute a checksum of the whole header as often as it has room for checksums."""
    with pytest.raises(ProxyHeaderError, match="checksum"):
        decode(with_checksum(b"\x03\x00\x04SUMS"))


def test_no_more_is_held_than_the_longest_header() -> None:
    """A line without an end is refused at 107 bytes, and a binary header too long for us at its sixteenth."""
    assert decode(b"PROXY UNKNOWN".ljust(106, b" ")) is None
    whole = b"PROXY UNKNOWN".ljust(105, b" ") + b"\r\n"
    assert decode(whole) == Header(None, None, 107)
    with pytest.raises(ProxyHeaderError):
        decode(b"PROXY UNKNOWN".ljust(107, b" "))
    with pytest.raises(ProxyHeaderError):
        decode(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, LONGEST - 15))
    assert decode(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, LONGEST - 16)) is None


heads = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21"]
)


@settings(deadline=None)
@given(st.builds(bytes.__add__, heads, st.binary(max_size=200)))
def test_anything_is_a_header_or_none_yet_or_an_error(data: bytes) -> None:
    """Whatever comes, the answer is a header within it, a request for more, or the one error; decoding again agrees."""
    try:
        header = decode(data)
    except ProxyHeaderError:
        return
    if header is not None:
        assert header.size <= len(data)
        assert decode(data[: header.size]) == header
        assert decode(data[: header.size - 1]) is None


@settings(deadline=None)
@given(versions, pairs, st.data())
def test_a_damaged_header_is_read_as_the_other_implementation_does(
    version: Literal["v1", "v2"], pair: tuple[Address, Address], data: st.DataObject
) -> None:
    """Of a header with one byte changed nothing is read that the library proxy-protocol does not read, too."""
    whole = bytearray(encode(version, *pair))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = decode(bytes(whole))
    except ProxyHeaderError:
        return
    if header is None or header.source is None:
        return
    try:
        result = ORACLES[version].unpack(bytes(whole[: header.size]))
    except ValueError:
        pytest.fail(f"only we read {bytes(whole)!r}")
    host, port = read(result.source)
    address = ipaddress.ip_address(host)
    assert header.source == Address(str(getattr(address, "ipv4_mapped", None) or address), port)
