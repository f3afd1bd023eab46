"""The codec of the tunnel: every byte once and in order, each way with an end of its own, whatever the wire does."""

from __future__ import annotations

import contextlib
import gc
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.tunnel import CHUNK, HandshakeError, codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.tunnel import Tunnel

    MakePair = Callable[..., "Pair"]
    from typing import Any as Pair

# Around records (16 KiB), around chunks (64 KiB), and anything below.
sizes = st.sampled_from([0, 1, 16383, 16384, 16385, CHUNK - 1, CHUNK]) | st.integers(0, CHUNK)
# Three connections at a time, because they share buffers: which one, which end, what to do there, with how much.
steps = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["target", "source"]), st.sampled_from(["write", "carry", "end"]), sizes
    ),
    max_size=40,
)


@pytest.fixture(scope="session")
def noise() -> bytes:
    """Return bytes to be sent, in which a wrong order shows."""
    return os.urandom(2 * CHUNK)


@settings(deadline=None, max_examples=60)
@given(steps=steps)
def test_streams_stay_whole_and_apart(
    make_pair: MakePair, noise: bytes, steps: list[tuple[int, str, str, int]]
) -> None:
    """Whatever is written, cut up, and ended on three connections in turn comes out once, in order, then its end."""
    pairs = [make_pair() for _ in range(3)]
    for number, name, action, size in steps:
        pair = pairs[number]
        end = getattr(pair, name)
        if action == "carry":
            pair.carry(end, size)
        elif not end.said_end and action == "write":
            end.write(noise[size // 2 : size // 2 + size])
        elif not end.said_end and action == "end":
            end.end()
    for pair in pairs:
        pair.carry_all()
        for end in (pair.target, pair.source):
            assert pair.other(end).read == end.written
            assert pair.other(end).codec.ended == end.said_end
            assert not end.codec.broken
    assert codec._incoming.pending == codec._outgoing.pending == 0


@settings(deadline=None, max_examples=25)
@given(step=st.integers(1, 200), early=st.booleans())
def test_a_handshake_may_come_in_pieces(make_pair: MakePair, step: int, early: bool) -> None:  # noqa: FBT001 - drawn
    """However its flights are cut up, a handshake ends, and what is written right after it arrives."""
    pair = make_pair(shaken=False).shake(step=step)
    if early:
        pair.source.write(b"greeting")
    pair.target.write(b"hello")
    pair.carry_all()

    assert pair.source.read == b"hello"
    assert pair.target.read == (b"greeting" if early else b"")


def test_what_comes_with_the_handshake_waits(make_pair: MakePair) -> None:
    """Bytes and end of stream in one segment with the end of the handshake are held as ciphertext until asked for."""
    pair = make_pair(shaken=False)
    target, source = pair.target.codec, pair.source.codec
    target.handshake()
    source.handshake(target.outgoing())
    target.handshake(source.outgoing())
    segment = target.outgoing() + target.encrypt(b"question") + target.end()

    assert source.handshake(segment)
    assert source.waiting
    assert source.decrypt() == b"question"
    assert source.ended
    assert not source.waiting


def test_a_first_end_of_stream_spares_what_waits(make_pair: MakePair) -> None:
    """Ending our way before the first read loses nothing of what the peer sent with its handshake."""
    pair = make_pair(shaken=False)
    target, source = pair.target.codec, pair.source.codec
    target.handshake()
    source.handshake(target.outgoing())
    target.handshake(source.outgoing())
    source.handshake(target.outgoing() + target.encrypt(b"question"))
    target.decrypt(source.end())

    assert source.decrypt() == b"question"
    assert source.decrypt(target.encrypt(b"more") + target.end()) == b"more"
    assert source.ended
    assert target.ended


@pytest.mark.parametrize("first", ["target", "source"])
def test_half_close_while_the_other_direction_is_full(make_pair: MakePair, noise: bytes, first: str) -> None:
    """After one end has ended its way, a megabyte that was on its way to it, and one written later, reach it."""
    pair = make_pair()
    ender = getattr(pair, first)
    other = pair.other(ender)
    for _ in range(16):
        other.write(noise[:CHUNK])
    pair.carry(other, 100_000)
    ender.write(b"last words")
    ender.end()
    pair.carry(ender)
    assert other.codec.ended
    for _ in range(16):
        other.write(noise[CHUNK:])
    other.end()
    while other.wire:
        pair.carry(other, 50_000)

    assert other.read == b"last words"
    assert ender.read == other.written
    assert ender.codec.ended


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, 200_000))
def test_a_cut_is_no_end(make_pair: MakePair, noise: bytes, cut: int) -> None:
    """A connection cut anywhere before its last byte has not ended, and what arrived is the beginning of the stream."""
    pair = make_pair()
    for _ in range(3):
        pair.target.write(noise[:CHUNK])
    pair.target.end()
    whole = len(pair.target.wire)
    del pair.target.wire[min(cut, whole - 1) :]
    pair.carry(pair.target)

    assert not pair.source.codec.ended
    assert pair.target.written.startswith(pair.source.read)


@settings(deadline=None, max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_ends_the_stream(make_pair: MakePair, noise: bytes, at: float, bit: int) -> None:
    """Of a record in which one bit was changed nothing is delivered, what came before it is, and no end is seen."""
    pair = make_pair()
    for _ in range(2):
        pair.target.write(noise[:20_000])
    pair.target.end()
    pair.target.wire[int(at * len(pair.target.wire))] ^= 1 << bit
    pair.carry(pair.target)

    source = pair.source.codec
    assert not source.ended
    assert len(pair.source.read) in {0, 16384, 20_000, 36_384, 40_000}
    assert pair.target.written.startswith(pair.source.read)
    if source.broken:
        pair.target.wire[:] = b"whatever else may come"
        pair.carry(pair.target)
        assert pair.target.written.startswith(pair.source.read)


def test_nothing_is_read_after_an_end(make_pair: MakePair) -> None:
    """Bytes behind a close_notify are ignored: RFC 8446, section 6.1."""
    pair = make_pair()
    pair.target.end()
    pair.target.wire += b"\x17\x03\x03\x00\x20" + bytes(32)
    pair.carry(pair.target)
    pair.source.receive(b"more of it")

    assert pair.source.codec.ended
    assert not pair.source.codec.broken
    assert pair.source.read == b""


def test_a_recorded_connection_cannot_be_replayed(tunnels: tuple[Tunnel, Tunnel], make_pair: MakePair) -> None:
    """All that a target once sent, sent again to a new connection, lets nobody in."""
    pair = make_pair(shaken=False)
    target, source = pair.target.codec, pair.source.codec
    target.handshake()
    recorded = [target.outgoing()]
    source.handshake(recorded[0])
    target.handshake(source.outgoing())
    recorded += [target.outgoing(), target.encrypt(b"transfer")]
    source.handshake(recorded[1])
    assert source.decrypt(recorded[2]) == b"transfer"

    again = tunnels[1].codec()
    assert not again.handshake(recorded[0])
    with pytest.raises(HandshakeError):
        again.handshake(recorded[1] + recorded[2])
    assert not again.established
    assert bytes(again.decrypt(recorded[2])) == b""


@settings(deadline=None, max_examples=150)
@given(data=st.binary(min_size=1, max_size=2000) | st.builds(bytes.__add__, st.just(b"\x16\x03\x01\x00"), st.binary()))
def test_garbage_lets_nobody_in(tunnels: tuple[Tunnel, Tunnel], make_pair: MakePair, data: bytes) -> None:
    """Whatever a stranger begins with, either side asks for more or gives up; neither breaks what else goes on."""
    pair = make_pair()
    for tunnel in tunnels:
        victim = tunnel.codec("source.example")
        if not tunnel.server_side:
            victim.handshake()
        with contextlib.suppress(HandshakeError):
            victim.handshake(data)
        assert not victim.established
        pair.target.write(b"unharmed")
        pair.carry_all()
    assert pair.source.read == b"unharmed" * 2


@settings(deadline=None, max_examples=150)
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.integers(0, 2000))
def test_a_damaged_first_flight_lets_nobody_in(
    tunnels: tuple[Tunnel, Tunnel], at: float, value: int, cut: int
) -> None:  # fmt: skip
    """A ClientHello with a byte changed, and anything cut off and put behind it, is never enough for a source."""
    target, source = tunnels[0].codec("source.example"), tunnels[1].codec()
    target.handshake()
    hello = bytearray(target.outgoing())
    hello[int(at * len(hello))] = value
    try:
        assert not source.handshake(bytes(hello[:cut]))
        assert not source.handshake(bytes(hello))
    except HandshakeError:
        pass
    assert not source.established
    with pytest.raises(ssl.SSLError):
        source.encrypt(b"secret")


def test_a_handshake_that_does_not_end_is_given_up(tunnels: tuple[Tunnel, Tunnel]) -> None:
    """A stranger who sends a ClientHello without end is held to 64 KiB."""
    source = tunnels[1].codec()
    hello = b"\x16\x03\x01\x40\x00\x01\x01\xff\xff" + bytes(16380)
    assert not source.handshake(hello)
    for _ in range(2):
        assert not source.handshake(hello[:5] + bytes(16384))
    with pytest.raises(HandshakeError, match="handshake of at most 65536 bytes"):
        source.handshake(hello[:5] + bytes(16384))


def test_an_idle_connection_holds_at_most_64_kib(make_pair: MakePair, noise: bytes) -> None:
    """After as much as one call takes each way, and with half a record still to come, an end holds less than 64 KiB."""
    make_pair()
    before = resident()
    pairs = [make_pair() for _ in range(150)]
    for pair in pairs:
        for end in (pair.target, pair.source):
            ciphertext = end.codec.encrypt(noise[: CHUNK - 1000])
            assert pair.other(end).codec.decrypt(ciphertext) == noise[: CHUNK - 1000]
            pair.other(end).codec.decrypt(end.codec.encrypt(noise[:16384])[:8000])
    gc.collect()

    assert (resident() - before) / (2 * len(pairs)) < 65536


def resident() -> int:
    """Return how much memory this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
