"""PROXY protocol, versions 1 and 2: the client's address, sent ahead of its bytes.

After "The PROXY protocol" by Willy Tarreau (HAProxy, doc/proxy-protocol.txt, 2020); section numbers are of that text.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import Literal

from ambassador.errors import AmbassadorError
from ambassador.net.address import Address

# Bytes. Version 2 could announce 64 KiB, but HAProxy reads no more than its buffer, 16 KiB, nginx 4 KiB, and no known
# sender comes near. This is the most that a client can make us hold before it is admitted.
LONGEST = 16384
# Section 2.1: the worst case of version 1, with its end of line.
_LONGEST_LINE = 107
_WORD = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
# Family and transport in one byte: TCP over IPv4, TCP over IPv6. Addresses, then ports, each of source and destination.
_TCP4, _TCP6 = 0x11, 0x21
_BLOCKS = {_TCP4: struct.Struct("!4s4sHH"), _TCP6: struct.Struct("!16s16sHH")}
_FAMILIES, _TRANSPORTS = 4, 3  # section 2.2: what is beyond must be rejected
_TLV = struct.Struct("!BH")
_CRC32C, _CRC_BYTES = 0x03, 4
# How much of what is no header a log may repeat: enough to recognise a protocol by, too little for a secret.
_SHOWN = 5
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class ProxyHeaderError(AmbassadorError):
    """What a peer sent is not a PROXY header, whatever may follow: the connection must be closed. Fit for a log."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    Attributes:
        source: the client, or None where the sender does not say (LOCAL, UNKNOWN): use the socket's own address.
        destination: what the client had connected to, or None likewise.
        size: the bytes of the header; what follows belongs to the stream.
    """

    source: Address | None
    destination: Address | None
    size: int


def encode(version: Literal["v1", "v2"], source: Address | None, destination: Address | None) -> bytes:
    """Write the header for a client at *source* that had connected to *destination*, both IP addresses.

    Where one of them is not known the header says so, and its receiver uses the addresses of the socket. Of two
    families the IPv4 address is written as IPv6 (RFC 4291, section 2.5.5.2), as HAProxy does.
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n" if version == "v1" else _FIXED.pack(_SIGNATURE, _LOCAL, 0, 0)
    client, server = _ip(source.host), _ip(destination.host)
    if client.version != server.version:
        client, server = _as_ipv6(client), _as_ipv6(server)
    if version == "v1":
        addresses = f"{_text(client)} {_text(server)} {source.port} {destination.port}"
        return f"PROXY TCP{client.version} {addresses}\r\n".encode()
    family = _TCP4 if client.version == 4 else _TCP6
    block = _BLOCKS[family].pack(client.packed, server.packed, source.port, destination.port)
    return _FIXED.pack(_SIGNATURE, _PROXY, family, len(block)) + block


def decode(received: bytes) -> Header | None:
    """Read the header at the beginning of *received*, which is all that came so far; None if it is not complete yet.

    At most the first `LONGEST` bytes are needed. IPv4-mapped IPv6 addresses come out as IPv4.

    Raises:
        ProxyHeaderError: this is not a header, whatever may follow.
    """
    if received.startswith(_SIGNATURE[: len(received)]):
        return _decode_binary(received) if len(received) >= _FIXED.size else None
    if received.startswith(_WORD[: len(received)]):
        return _decode_line(received)
    raise ProxyHeaderError(f"expected a PROXY header, received {_shown(received[:_SHOWN])}")


def _decode_line(received: bytes) -> Header | None:
    end = received.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(received) >= _LONGEST_LINE:
            raise ProxyHeaderError(f"no end of line within {_LONGEST_LINE} bytes of a version 1 header")
        return None
    fields = received[:end].split(b" ")
    size = end + 2
    if fields[1] == b"UNKNOWN":
        return Header(None, None, size)
    if len(fields) != 6 or fields[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyHeaderError(
            f"expected PROXY TCP4 or TCP6, two addresses and two ports, received {_shown(received[:end])}"
        )
    hosts = [_host(text, version=int(fields[1][3:])) for text in fields[2:4]]
    ports = [_port(text) for text in fields[4:]]
    return Header(Address(hosts[0], ports[0]), Address(hosts[1], ports[1]), size)


def _host(text: bytes, *, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        address = None
    if address is None or address.version != version or b"%" in text:
        raise ProxyHeaderError(f"expected an IPv{version} address, received {_shown(text)}")
    return str(_unmapped(address))


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ProxyHeaderError(f"expected a port from 0 to 65535, received {_shown(text)}")
    return int(text)


def _shown(data: bytes) -> str:
    return ascii(data.decode("latin-1"))


def _decode_binary(received: bytes) -> Header | None:
    _, command, family, length = _FIXED.unpack_from(received)
    size = _FIXED.size + length
    if command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderError(f"expected version 2, LOCAL or PROXY (0x20 or 0x21), received 0x{command:02x}")
    if command == _PROXY and (family >> 4 >= _FAMILIES or family & 0xF >= _TRANSPORTS):
        raise ProxyHeaderError(f"unknown address family and transport 0x{family:02x}")
    block = _BLOCKS.get(family) if command == _PROXY else None
    if size > LONGEST:
        raise ProxyHeaderError(f"expected a header of at most {LONGEST} bytes, received one of {size}")
    if block and length < block.size:
        raise ProxyHeaderError(f"expected at least {block.size} bytes of addresses and ports, received {length}")
    if len(received) < size:
        return None
    if block is None:  # LOCAL, or another family or transport, such as a Unix socket: the socket's own addresses stand
        return Header(None, None, size)
    client, server, client_port, server_port = block.unpack_from(received, _FIXED.size)
    _check_fields(received[:size], _FIXED.size + block.size)
    hosts = [str(_unmapped(ipaddress.ip_address(packed))) for packed in (client, server)]
    return Header(Address(hosts[0], client_port), Address(hosts[1], server_port), size)


def _check_fields(header: bytes, offset: int) -> None:
    """Skip the fields that follow the addresses, from *offset* on, but verify a checksum: section 2.2.3."""
    checked = False
    while offset < len(header):
        if len(header) - offset < _TLV.size:
            raise ProxyHeaderError(f"expected a field of at least {_TLV.size} bytes, received {len(header) - offset}")
        kind, length = _TLV.unpack_from(header, offset)
        offset += _TLV.size
        if len(header) - offset < length:
            raise ProxyHeaderError(f"expected {length} bytes in field 0x{kind:02x}, received {len(header) - offset}")
        if kind == _CRC32C:
            if checked:  # a second one could only be there to keep us busy
                raise ProxyHeaderError("expected one checksum, received a second")
            _verify(header, offset, length)
            checked = True
        offset += length


def _verify(header: bytes, offset: int, length: int) -> None:
    if length != _CRC_BYTES:
        raise ProxyHeaderError(f"expected a checksum of {_CRC_BYTES} bytes, received {length}")
    received, expected = header[offset : offset + _CRC_BYTES], _checksum(header, offset)
    if received != expected:
        raise ProxyHeaderError(f"expected the checksum {expected.hex()}, received {received.hex()}")


def _checksum(header: bytes, offset: int) -> bytes:
    """Compute the CRC32C (RFC 4960, appendix B) of *header* with zeros for the checksum at *offset*."""
    register = 0xFFFFFFFF
    for byte in header[:offset] + bytes(_CRC_BYTES) + header[offset + _CRC_BYTES :]:
        register = _CRC_TABLE[(register ^ byte) & 0xFF] ^ (register >> 8)
    return (register ^ 0xFFFFFFFF).to_bytes(4, "big")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(map(_crc_of, range(256)))


def _ip(host: str) -> _IP:
    """Read an address as getpeername() gives it, without its zone (RFC 4007), which means nothing to anyone else."""
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _unmapped(address: _IP) -> _IP:
    return (address.version == 6 and address.ipv4_mapped) or address


def _as_ipv6(address: _IP) -> _IP:
    return ipaddress.IPv6Address(bytes(10) + b"\xff\xff" + address.packed) if address.version == 4 else address


def _text(address: _IP) -> str:
    """Write *address* in hexadecimal: section 2.1 does not allow ::ffff:10.0.0.1, which is what Python 3.13 writes."""
    if address.version == 6 and address.ipv4_mapped:
        return f"::ffff:{address.packed[12:14].hex()}:{address.packed[14:].hex()}"
    return str(address)
