"""PROXY headers of version 2, made by hand."""

from __future__ import annotations

import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
# From 10.0.0.7:50001 to 10.0.0.1:6379.
BLOCK4 = bytes([10, 0, 0, 7, 10, 0, 0, 1]) + struct.pack("!HH", 50001, 6379)


def binary(command: int, family: int, block: bytes) -> bytes:
    """Build a header."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block
