"""Bytes both ways, in order, whatever the timing."""

from __future__ import annotations

import asyncio
import random
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.relay.direction import READ_BYTES, TURN_BYTES
from ambassador.relay.pipes import PIPE_BYTES
from tests.support.deadline import PATIENCE, soon
from tests.support.stage import End, stage

WAYS = pytest.mark.parametrize("writer", ["client", "upstream"])


@WAYS
async def test_what_comes_before_the_start_is_relayed(writer: str) -> None:
    """Bytes and end of stream that came while nobody read them are relayed once the relay starts."""
    async with stage() as on:
        link = on.link(start=False)
        source, sink = link.ends(writer)
        await source.send(b"early", eof=True)
        link.relay.start()
        assert await sink.to_end() == b"early"
        await sink.send(b"late", eof=True)
        assert await source.to_end() == b"late"
        assert await link.ended() == "closed"
        assert (link.relay.up.moved, link.relay.down.moved) == ((5, 4) if writer == "client" else (4, 5))


@WAYS
async def test_one_byte_writes_arrive_as_they_are_made(writer: str) -> None:
    """Each single byte arrives before the next is sent: nothing waits for more."""
    async with stage() as on:
        source, sink = on.link().ends(writer)
        for number in range(200):
            await source.send(bytes([number]))
            assert await sink.receive() == bytes([number])


async def test_a_reader_that_stalls_stalls_its_writer_and_loses_nothing() -> None:
    """A writer can send only what the kernels and one buffer hold until its reader reads; then all of it arrives."""
    async with stage(pipes=0) as on:
        link = on.link()
        sent = 0
        for _ in range(200):
            sent += link.client.fill()
            await asyncio.sleep(0)
            if link.relay.up.blocked and not link.client.fill():
                break
        await soon(lambda: link.relay.up.blocked)
        held = link.relay.up._held
        assert held is not None
        assert len(held) <= READ_BYTES
        sent_before = link.relay.up.moved
        reading = asyncio.ensure_future(link.upstream.digest())
        await soon(lambda: link.relay.up.moved > sent_before)
        link.client.end()
        total, _ = await reading
        assert total == link.relay.up.moved
        link.upstream.end()
        assert await link.ended() == "closed"


async def test_an_idle_relay_holds_no_buffer() -> None:
    """After a message has gone through, nothing is held in either direction."""
    async with stage() as on:
        link = on.link()
        await link.client.send(bytes(READ_BYTES * 3))
        await link.upstream.exactly(READ_BYTES * 3)
        for direction in (link.relay.up, link.relay.down):
            assert direction._held is None
            assert direction._pipe is None
            assert not direction.blocked


@pytest.mark.parametrize("pipes", [0, 4], ids=["copied", "spliced"])
async def test_a_bulk_stream_does_not_keep_others_waiting(pipes: int) -> None:
    """However much there is to move, and room for it, the event loop's others have their turn after a bounded share."""
    async with stage(pipes=pipes) as on:
        bulk = on.link()
        stop = threading.Event()

        # In threads, so that the relay finds bytes and room for as long as it asks.
        def pour() -> None:
            bulk.client.socket.settimeout(PATIENCE)
            while not stop.is_set():
                bulk.client.socket.sendall(bytes(1 << 20))
            bulk.client.end()

        def drink() -> None:
            bulk.upstream.socket.settimeout(PATIENCE)
            while bulk.upstream.socket.recv(1 << 20):
                pass

        threads = asyncio.gather(asyncio.to_thread(pour), asyncio.to_thread(drink))
        shares: list[int] = []
        try:
            await soon(lambda: bulk.relay.up.moved > 8 * TURN_BYTES)
            while sum(shares) < 200 * TURN_BYTES:
                moved = bulk.relay.up.moved
                await asyncio.sleep(0)
                shares.append(bulk.relay.up.moved - moved)
        finally:
            stop.set()
            await threads
        # A share ends at most one full pipe late; a turn may have one for room, one for bytes, and one that was due.
        assert max(shares) <= 3 * (TURN_BYTES + PIPE_BYTES)


SIZES = st.integers(0, 5) | st.sampled_from([READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES, 700_001])
CHUNKS = st.lists(st.tuples(SIZES, st.booleans()), max_size=6)


async def write(end: End, seed: int, chunks: list[tuple[int, bool]], *, orderly: bool) -> bytes:
    """Send random *chunks*, with turns of the event loop between some of them, then end; return what was sent."""
    noise = random.Random(seed)  # noqa: S311 - data, no secret
    sent = b""
    for size, pause in chunks:
        data = noise.randbytes(size)
        sent += data
        await end.send(data)
        if pause:
            await asyncio.sleep(0.001)
    if orderly:
        end.end()
    return sent


@settings(max_examples=40)
@given(up=CHUNKS, down=CHUNKS, up_reads=st.sampled_from([1 << 10, 1 << 18]), pipes=st.sampled_from([0, 1, 8]))
async def test_every_stream_arrives_whole_in_full_duplex(
    up: list[tuple[int, bool]], down: list[tuple[int, bool]], up_reads: int, pipes: int
) -> None:
    """Whatever sizes and pauses both ends write with, each reads exactly what the other wrote, then its end."""
    async with stage(pipes=pipes) as on:
        link = on.link()
        sent_up, sent_down, got_up, got_down = await asyncio.gather(
            write(link.client, 1, up, orderly=True),
            write(link.upstream, 2, down, orderly=True),
            link.upstream.to_end(up_reads),
            link.client.to_end(),
        )
        assert got_up == sent_up
        assert got_down == sent_down
        assert await link.ended() == "closed"
        assert (link.relay.up.moved, link.relay.down.moved) == (len(sent_up), len(sent_down))


@settings(max_examples=25)
@given(chunks=CHUNKS, answer=CHUNKS, writer=st.sampled_from(["client", "upstream"]))
async def test_a_reset_arrives_after_every_byte_before_it(
    chunks: list[tuple[int, bool]], answer: list[tuple[int, bool]], writer: str
) -> None:
    """A reset after bytes that its peer's kernel had taken reaches the other side as a reset after those bytes."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        direction = link.relay.up if writer == "client" else link.relay.down
        reading = asyncio.ensure_future(sink.to_reset())
        sent = await write(source, 3, chunks, orderly=False)
        await soon(lambda: direction.moved == len(sent))
        source.reset()
        assert await reading == sent
        assert await link.ended() == f"{writer}_reset"


async def test_a_shutdown_of_reading_is_no_end_of_stream() -> None:
    """An end that only stops reading is not taken for one that finished: what it sends still arrives."""
    async with stage() as on:
        link = on.link()
        link.client.socket.shutdown(socket.SHUT_RD)
        await link.client.send(b"still here", eof=True)
        assert await link.upstream.to_end() == b"still here"
