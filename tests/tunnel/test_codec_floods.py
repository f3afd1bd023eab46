"""A peer that holds the key and sends records of its own making, which carry nothing or next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ambassador.tunnel import CHUNK, Codec
from tests.support.records import Forge, forge_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ambassador.tunnel import Tunnel

TOO_MANY = "too many records without payload from the peer"


@pytest.fixture(params=["target", "source"])
def forged(request: pytest.FixtureRequest, tunnels: tuple[Tunnel, Tunnel], tmp_path: Path) -> tuple[Forge, Codec]:
    """Return what makes the records of one end, and the codec of the other, after their handshake."""
    log = tmp_path / "keys.log"
    context = tunnels[0].context
    context.keylog_filename = str(log)
    target, source = tunnels[0].codec("source.example"), tunnels[1].codec()
    target.handshake()
    source.handshake(target.outgoing())
    target.handshake(source.outgoing())
    source.handshake(target.outgoing())
    context.keylog_filename = "/dev/null"
    forger, victim = (target, source) if request.param == "target" else (source, target)
    cipher: Any = forger._tls.cipher()
    return forge_of(log, cipher[0], server_side=request.param == "source"), victim


def received(codec: Codec, ciphertext: bytes) -> bytes:
    """Decrypt as a relay does: as much at a time as it reads, then what waits."""
    plain = bytearray()
    for start in range(0, len(ciphertext), CHUNK):
        plain += codec.decrypt(ciphertext[start : start + CHUNK])
        while codec.waiting:
            plain += codec.decrypt()
    return bytes(plain)


def test_key_updates_one_after_another_end_the_stream(forged: tuple[Forge, Codec]) -> None:
    """Some hundreds of changed keys in a row are enough, and what came before them is delivered."""
    forge, codec = forged

    assert received(codec, forge.data(b"before") + forge.key_updates(600)) == b"before"
    assert codec.broken == TOO_MANY
    assert not codec.waiting
    assert not codec.refused


@pytest.mark.parametrize(
    "flood",
    [
        lambda forge: forge.key_updates(10) + forge.data(b"x"),
        lambda forge: forge.data() + forge.data(padding=100) + forge.data() + forge.data(b"x"),
        lambda forge: forge.key_update() + forge.data(b"x") + forge.data(),
    ],
    ids=["key updates", "empty records", "both"],
)
def test_a_byte_now_and_then_does_not_help(forged: tuple[Forge, Codec], flood: Callable[[Forge], bytes]) -> None:
    """Nor does a byte between them: the records without payload add up."""
    forge, codec = forged
    for _ in range(600):
        received(codec, flood(forge))

    assert codec.broken == TOO_MANY


@pytest.mark.parametrize("step", [CHUNK, 1000, 23, 7])
def test_whoever_sends_something_may_go_on(forged: tuple[Forge, Codec], step: int) -> None:
    """A byte a record, thousands of them, is read to the last one, and so are two with a change of keys each."""
    forge, codec = forged
    stream = b"".join(forge.data(b"k") for _ in range(5000))
    stream += b"".join(forge.data(b"kk") + forge.key_update() for _ in range(1000))
    plain = b"".join(received(codec, stream[at : at + step]) for at in range(0, len(stream), step))

    assert plain == b"k" * 7000
    assert not codec.broken


def test_a_call_leaves_what_would_take_long(forged: tuple[Forge, Codec]) -> None:
    """Thousands of records at once are decrypted some at a time, none twice, none out of order."""
    forge, codec = forged
    expected = b"".join(bytes([n % 251]) for n in range(2500))
    plain = bytes(codec.decrypt(b"".join(forge.data(expected[n : n + 1]) for n in range(2500))))

    assert codec.waiting
    assert len(plain) < 100
    calls = 0
    while codec.waiting:
        plain += codec.decrypt()
        calls += 1
    assert plain == expected
    assert calls > 20
