"""A tunnel's handshake, and what follows it: the input is what a stranger sends, or what is changed on the way.

The first byte says how (`_Way`), the second how many bytes arrive at a time (0: all). If raw, the rest is what comes;
otherwise two true ends shake hands and talk, and each five bytes of the rest are a change to a flight of theirs. Their
keys are made anew by each process, as are the random bytes of a handshake: that a change is found again does not
depend on them, but its effect may.
"""

from __future__ import annotations

import enum
import functools
import tempfile
from pathlib import Path

import trustme

from ambassador.tunnel import CHUNK, Codec, Credentials, HandshakeError, TunnelFiles, codec
from ambassador.tunnel.credentials import SHARED_KEYS
from ambassador.tunnel.keys import _written

WORDS = (
    b"\x16\x03\x01", b"\x14\x03\x03\0\x01\x01", b"\x15\x03\x03\0\x02\x02\x28", b"\x17\x03\x03", b"\x01\0\0",
    b"\x02\0\0", b"\x03\x03", b"\x03\x04", b"\0\x29", b"\0\x2b\0\x03\x02\x03\x04", b"\0\x2d\0\x02\x01\x01", b"\0\x33",
    b"\0\x0a", b"\0\x0d", b"\0\x2c", b"\xff\xff", b"\x40\0", b"\x13\x03", b"\x13\x01", b"ambassador-1:",
    b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip
LONGEST = 2000
# Bytes that an end may be made to send before it knows its peer: its certificates and a few alerts.
_MOST_ANSWERED = 8192
_MOST_CHANGES = 8
_LONGEST_REASON = 300


class _Way(enum.IntFlag):
    CERTIFICATES = 1
    AT_TARGET = 2
    RAW = 4
    AGAIN = 8


def check(data: bytes) -> None:
    """Let it happen: nothing leaves but documented errors, nothing is kept, nobody gets in, nothing is changed."""
    way, step, rest = _Way(data[0] & 15) if data else _Way(0), data[1] if len(data) > 1 else 0, data[2:]
    mode = "key" if SHARED_KEYS and _Way.CERTIFICATES not in way else "certificates"
    if _Way.RAW in way:
        _raw(mode, rest, step or CHUNK, at_target=_Way.AT_TARGET in way)
    else:
        _talk(mode, _changes(rest), step or CHUNK)
    if _Way.AGAIN in way:  # all codecs share their buffers
        _talk(mode, {}, CHUNK)


class _End:
    """One end, and what it has written and read."""

    def __init__(self, made: Codec, written: bytes) -> None:
        self.codec = made
        self.written = written
        self.read = b""
        self.answered = 0
        self.failed = False

    def receive(self, data: bytes, step: int) -> bytes:
        """Take what comes, *step* bytes at a time; return what is to be sent."""
        sent = b""
        for start in range(0, len(data) or 1, step):
            if self.codec.established:
                self._decrypt(data[start : start + step])
            elif not self.failed:
                self._shake(data[start : start + step])
            sent += self.codec.outgoing()
            assert not codec._incoming.pending
            assert not codec._outgoing.pending
        self.answered += len(sent)
        assert self.answered <= _MOST_ANSWERED
        return sent

    def talk(self) -> bytes:
        """Write all, and end, as a relay does: not where the other way is broken."""
        if not self.codec.established or self.codec.broken:
            return b""
        return self.codec.encrypt(self.written) + self.codec.end()

    def _shake(self, data: bytes) -> None:
        try:
            self.codec.handshake(data)
        except HandshakeError as error:
            self.failed = True
            _fit_for_a_log(str(error))
            assert not self.codec.established

    def _decrypt(self, data: bytes) -> None:
        self.read += self.codec.decrypt(data)
        while self.codec.waiting:
            self.read += self.codec.decrypt()
        if self.codec.broken:
            _fit_for_a_log(self.codec.broken)


def _raw(mode: str, data: bytes, step: int, *, at_target: bool) -> None:
    target, source = _ends(mode)
    stranded = target if at_target else source
    if at_target:
        stranded.receive(b"", step)
    stranded.receive(data, step)
    assert not stranded.codec.established
    assert not stranded.codec.decrypt(data[:CHUNK])


def _talk(mode: str, changes: dict[int, list[bytes]], step: int) -> None:
    """Let both shake hands and talk, with *changes* to each flight by its number."""
    target, source = _ends(mode)
    flight = target.receive(b"", step)
    for number, (sender, receiver) in enumerate([(target, source), (source, target)] * 3):
        if number >= 2:
            flight += sender.talk() if number < 4 else b""
        flight = receiver.receive(functools.reduce(_changed, changes.get(number, ()), flight), step)
    for end, peer in ((target, source), (source, target)):
        assert peer.written.startswith(end.read)
        assert not end.codec.ended or end.read == peer.written
        assert end.codec.ended or changes


def _ends(mode: str) -> tuple[_End, _End]:
    target, source = (credentials.tunnel for credentials in _credentials(mode))
    return _End(target.codec("source.example"), b"from the target" * 9), _End(source.codec(), b"from the source" * 400)


def _changes(data: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for start in range(0, min(len(data), _MOST_CHANGES * 5), 5):
        change = data[start : start + 5].ljust(5, b"\0")
        found.setdefault(change[0] % 6, []).append(change)
    return found


def _changed(flight: bytes, change: bytes) -> bytes:
    """Apply a change: its kind, where (of 65536 parts of the flight, or a record), and a value."""
    _, kind, *where, value = change
    at = int.from_bytes(bytes(where)) * len(flight) >> 16
    match kind % 8:
        case 0:
            return flight[:at] + bytes([flight[at] ^ (value or 1)]) + flight[at + 1 :] if flight else flight
        case 1:
            return flight[:at] + flight[at + value + 1 :]
        case 2:
            return flight[:at] + bytes([value]) * (value + 1) + flight[at:]
        case 3:
            return flight[:at]
    records = _records(flight)
    number = where[0] % len(records)
    match kind % 8:
        case 4:  # twice
            records.insert(number, records[number])
        case 5:  # in another order
            records[0], records[number] = records[number], records[0]
        case 6:  # in smaller ones
            kind_and_version, content = records[number][:3], records[number][5:]
            size = value + 1
            pieces = [content[start : start + size] for start in range(0, len(content), size)]
            records[number] = b"".join(kind_and_version + len(piece).to_bytes(2) + piece for piece in pieces)
        case _:  # one of its own
            records.insert(number, bytes([20 + value % 5, 3, 3, 0, where[1] % 8]) + bytes([value]) * (where[1] % 8))
    return b"".join(records)


def _records(flight: bytes) -> list[bytes]:
    """Split a flight into its records (RFC 8446, section 5.1)."""
    records = []
    while flight:
        size = 5 + int.from_bytes(flight[3:5])
        records.append(flight[:size])
        flight = flight[size:]
    return records or [b""]


def _fit_for_a_log(reason: str) -> None:
    assert reason
    assert reason.isprintable()
    assert len(reason) <= _LONGEST_REASON


@functools.cache
def _credentials(mode: str) -> tuple[Credentials, Credentials]:
    """Make those of a target and of a source that trust each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if mode == "key":
            key = _secret(folder / "key", _written(bytes(range(200, 232))).encode())
            target, source = (TunnelFiles(server_side=side, key=key) for side in (False, True))
        else:
            authority = trustme.CA()
            target, source = (_certified(folder, authority, server_side=side) for side in (False, True))
        return Credentials(target), Credentials(source)


def _certified(folder: Path, authority: trustme.CA, *, server_side: bool) -> TunnelFiles:
    end = "source" if server_side else "target"
    leaf = authority.issue_cert(f"{end}.example")
    return TunnelFiles(
        server_side=server_side,
        certificate=_secret(folder / f"{end}.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems)),
        private_key=_secret(folder / f"{end}.key", leaf.private_key_pem.bytes()),
        authority=_secret(folder / "ca", authority.cert_pem.bytes()),
    )


def _secret(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path
