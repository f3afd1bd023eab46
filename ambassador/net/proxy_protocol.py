"""PROXY protocol, versions 1 and 2: who the client was, told at the beginning of a connection.

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

# Version 2 could announce 64 KiB. HAProxy itself reads no more than its buffer, 16 KiB, and nginx takes 4 KiB; no known
# sender comes near. This is what one client that is not admitted yet can make us hold.
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
_CRC32C = 0x03
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class ProxyHeaderError(AmbassadorError):
    """What a peer sent is no PROXY header, and will not become one: the connection is to be ended."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    Attributes:
        source: the client, or None where the sender does not say (LOCAL, UNKNOWN): the socket's own address stands.
        destination: what the client had connected to, or None likewise.
        size: how many bytes the header took; what follows belongs to the stream.
    """

    source: Address | None
    destination: Address | None
    size: int


def encode(version: Literal["v1", "v2"], source: Address | None, destination: Address | None) -> bytes:
    """Write the header for a client at *source* that had connected to *destination*, both IP addresses.

    Where one of them is not known the header says so, and its receiver takes the addresses of the socket. Of two
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
    """Read the header that *received*, all that came so far, begins with; None: it is not whole yet.

    At most the first `LONGEST` bytes are needed. IPv4 addresses in IPv6 come out as IPv4.

    Raises:
        ProxyHeaderError: this is no header, whatever may follow.
    """
    if received.startswith(_SIGNATURE[: len(received)]):
        return _decode_binary(received) if len(received) >= _FIXED.size else None
    if received.startswith(_WORD[: len(received)]):
        return _decode_line(received)
    raise ProxyHeaderError("there is no PROXY header")


def _decode_line(received: bytes) -> Header | None:
    end = received.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(received) >= _LONGEST_LINE:
            raise ProxyHeaderError("the line does not end")
        return None
    fields = received[:end].split(b" ")
    size = end + 2
    if fields[1] == b"UNKNOWN":
        return Header(None, None, size)
    if len(fields) != 6 or fields[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyHeaderError("the line is not as it should be")
    hosts = [_host(text, version=int(fields[1][3:])) for text in fields[2:4]]
    ports = [_port(text) for text in fields[4:]]
    return Header(Address(hosts[0], ports[0]), Address(hosts[1], ports[1]), size)


def _host(text: bytes, *, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as error:
        raise ProxyHeaderError("an address is none") from error
    if address.version != version or b"%" in text:
        raise ProxyHeaderError("an address is not of its family")
    return str(_unmapped(address))


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ProxyHeaderError("a port is none")
    return int(text)


def _decode_binary(received: bytes) -> Header | None:
    _, command, family, length = _FIXED.unpack_from(received)
    size = _FIXED.size + length
    if command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderError("its version or its command is unknown")
    if command == _PROXY and (family >> 4 >= _FAMILIES or family & 0xF >= _TRANSPORTS):
        raise ProxyHeaderError("its address family or its transport is unknown")
    block = _BLOCKS.get(family) if command == _PROXY else None
    if size > LONGEST or (block and length < block.size):
        raise ProxyHeaderError(f"{length} bytes are not what it takes")
    if len(received) < size:
        return None
    if block is None:  # LOCAL, or another family or transport, such as a Unix socket: the socket's own addresses stand
        return Header(None, None, size)
    client, server, client_port, server_port = block.unpack_from(received, _FIXED.size)
    _check_fields(received[:size], _FIXED.size + block.size)
    hosts = [str(_unmapped(ipaddress.ip_address(packed))) for packed in (client, server)]
    return Header(Address(hosts[0], client_port), Address(hosts[1], server_port), size)


def _check_fields(header: bytes, offset: int) -> None:
    """Pass over what follows the addresses from *offset* on, but for a checksum: section 2.2.3."""
    checked = False
    while offset < len(header):
        if len(header) - offset < _TLV.size:
            raise ProxyHeaderError("a field is cut off")
        kind, length = _TLV.unpack_from(header, offset)
        offset += _TLV.size
        if len(header) - offset < length:
            raise ProxyHeaderError("a field is cut off")
        if kind == _CRC32C:
            # A second one could only be there to keep us busy.
            if checked or length != 4 or header[offset : offset + 4] != _checksum(header, offset):
                raise ProxyHeaderError("its checksum does not fit")
            checked = True
        offset += length


def _checksum(header: bytes, offset: int) -> bytes:
    """Compute the CRC32C (RFC 4960, appendix B) of *header* with zeros for the checksum at *offset*."""
    register = 0xFFFFFFFF
    for byte in header[:offset] + bytes(4) + header[offset + 4 :]:
        register = _CRC_TABLE[(register ^ byte) & 0xFF] ^ (register >> 8)
    return (register ^ 0xFFFFFFFF).to_bytes(4, "big")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(map(_crc_of, range(256)))


def _ip(host: str) -> _IP:
    """Read an address as getpeername() gives it: a zone (RFC 4007) means nothing to anyone else."""
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _unmapped(address: _IP) -> _IP:
    return (address.version == 6 and address.ipv4_mapped) or address


def _as_ipv6(address: _IP) -> _IP:
    return ipaddress.IPv6Address(bytes(10) + b"\xff\xff" + address.packed) if address.version == 4 else address


def _text(address: _IP) -> str:
    """Write *address* in hexadecimal: section 2.1 knows no ::ffff:10.0.0.1, which is what Python 3.13 writes."""
    if address.version == 6 and address.ipv4_mapped:
        return f"::ffff:{address.packed[12:14].hex()}:{address.packed[14:].hex()}"
    return str(address)
