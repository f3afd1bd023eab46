"""Which records a peer sends: the input is where ciphertext is cut, a byte a piece, and the ciphertext after a zero."""

from __future__ import annotations

from ambassador.tunnel.records import MOST, Records

WORDS = (b"\x17\x03\x03", b"\0\0", b"\0\x01", b"\x01\0", b"\xff\xff", b"\x17\x03\x03\0\0" * 9, b"\x17\x03\x03\0\0" * 99)
LONGEST = 1500


def check(data: bytes) -> None:
    """Take it in pieces: every record is counted once, and no call takes more records than it should."""
    cuts, _, ciphertext = data.partition(b"\0")
    records, begun, taken = Records(), 0, 0
    pieces = [*cuts, len(ciphertext)]
    for piece in pieces:
        rest = memoryview(ciphertext)[taken : taken + piece]
        while rest:
            size = records.take(rest)
            assert 0 < size <= len(rest)
            assert records.begun <= MOST
            begun += records.begun
            taken += size
            rest = rest[size:]
    assert taken == len(ciphertext)
    assert begun == _begun(ciphertext)


def _begun(ciphertext: bytes) -> int:
    at = count = 0
    while at + 5 <= len(ciphertext):
        at += 5 + int.from_bytes(ciphertext[at + 3 : at + 5])
        count += 1
    return count
