"""A relay whose client comes by a tunnel, where the tunnel breaks."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from ambassador.relay import encrypted
from ambassador.tunnel.credentials import SHARED_KEYS
from tests.support.deadline import soon
from tests.support.stage import End, shaken_hands, stage

# One read takes it and the record that is broken, and no sink that is full takes all of it.
PIECE = bytes(60_000)


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
async def test_bulk_leaves_pacing_on_both_sides_of_a_tunnel(unpaced: list[socket.socket]) -> None:
    """A tunnel's way that runs full takes its sink out of pacing, be that the tunnel or the plain side."""
    far, near = shaken_hands()
    bulk = memoryview(bytes(8 << 20))
    async with stage() as on:
        link = on.link(codec=near)
        while not unpaced:  # whether reads are full ones is up to the kernel, and to how busy the machine is
            await asyncio.gather(link.client.send(far.encrypt(bulk)), link.upstream.exactly(len(bulk)))
        assert set(unpaced) == {link.relay.upstream.socket}
        unpaced.clear()
        while not unpaced:
            await asyncio.gather(link.upstream.send(bytes(bulk)), link.client.exactly(len(bulk)))
        assert set(unpaced) == {link.relay.client.socket}


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
async def test_many_small_records_take_several_turns() -> None:
    """Thousands of records that are there at once are not decrypted in one turn, and all of them arrive."""
    far, near = shaken_hands()
    async with stage() as on:
        link = on.link(start=False, codec=near)
        link.relay.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        small = b"".join(far.encrypt(b"x") for _ in range(8000))
        await link.client.send(small)
        await soon(lambda: link.relay.client.readable)
        link.relay.start()
        assert 0 < link.relay.up.moved < 8000
        assert await link.upstream.exactly(8000) == b"x" * 8000
        await link.upstream.send(b"answer")
        assert bytes(far.decrypt(await link.client.receive())) == b"answer"


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
@pytest.mark.parametrize("writer", ["client", "upstream"])
async def test_a_turn_ends_by_time(monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    """Where a read takes all the time of a turn, either way has the others go on after it, and still moves all."""
    monkeypatch.setattr(encrypted, "TURN_SECONDS", 0.0)
    far, near = shaken_hands()
    bulk = bytes(300_000)
    async with stage() as on:
        link = on.link(start=False, codec=near)
        for leg in (link.relay.client, link.relay.upstream):
            leg.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if writer == "client":
            direction, expected = link.relay.up, far.encrypt(bulk)
        else:
            direction, expected = link.relay.down, bulk
        sender, receiver = link.ends(writer)
        await sender.send(expected)
        await soon(lambda: direction.source.readable)
        link.relay.start()
        assert 0 < direction.moved <= 65536
        if writer == "client":
            assert await receiver.exactly(len(bulk)) == bulk
        else:
            plain = b""
            while len(plain) < len(bulk):
                plain += far.decrypt(await receiver.receive(65536))
            assert plain == bulk


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
async def test_what_came_before_a_broken_record_still_arrives_while_the_other_side_speaks() -> None:
    """A tunnel that breaks while its reader stalls and speaks loses nothing that came before, and ends by a reset."""
    far, near = shaken_hands()
    async with stage() as on:
        link = on.link(start=False, codec=near)
        sink = End(cast("socket.socket", link.relay.upstream.socket))  # its base; what that lacks, an End needs not
        before = bytes(await sink.fill_up())
        sound, broken = far.encrypt(PIECE), bytearray(far.encrypt(b"x"))
        broken[-1] ^= 1
        await link.client.send(sound + broken)
        await soon(lambda: link.relay.client.readable)
        link.relay.start()
        assert link.relay.up.blocked
        await link.upstream.send(b"the other side speaks")
        await soon(lambda: link.relay.upstream.readable)
        assert await link.upstream.to_reset() == before + PIECE
        assert await link.ended() == "protocol_error"
        assert link.reasons == ["decryption failed or bad record mac"]
