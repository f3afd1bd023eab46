"""A direction that runs full is spliced, and nothing is lost where the ways of moving bytes change."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import random
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.relay.direction import READ_BYTES
from tests.support.deadline import soon
from tests.support.stage import Link, stage

BULK = 24 * 1024 * 1024


@pytest.fixture
def spliced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep how many bytes each splice moved."""
    moved: list[int] = []
    splice = os.splice

    def counting(source: int, sink: int, count: int, *, flags: int) -> int:
        moved.append(splice(source, sink, count, flags=flags))
        return moved[-1]

    monkeypatch.setattr(os, "splice", counting)
    return moved


@pytest.mark.parametrize("writer", ["client", "upstream"])
async def test_bulk_is_spliced_and_arrives_whole(writer: str, spliced: list[int]) -> None:
    """Most bytes of a bulk stream go by splice, every byte arrives in order, and the count is exact."""
    data = random.Random(4).randbytes(BULK)  # noqa: S311 - data, no secret
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        _, (total, digest) = await asyncio.gather(source.send(data, eof=True), sink.digest())
        assert (total, digest) == (BULK, hashlib.sha256(data).hexdigest())
        direction = link.relay.up if writer == "client" else link.relay.down
        assert direction.moved == BULK
        assert sum(spliced) > BULK  # each byte is spliced twice: into the pipe and out of it
        assert on.pipes.lent == 0


async def test_small_messages_are_never_spliced(spliced: list[int]) -> None:
    """Messages below one read borrow no pipe, however many they are."""
    async with stage() as on:
        link = on.link()
        for _ in range(200):
            await link.client.send(b"x" * 1000)
            await link.upstream.exactly(1000)
        assert spliced == []


@pytest.mark.parametrize("writer", ["client", "upstream"])
async def test_only_the_way_out_of_bulk_leaves_pacing(writer: str, unpaced: list[socket.socket]) -> None:
    """Small messages leave the congestion control alone; a direction that runs full takes its sink out of pacing."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        for _ in range(200):
            await source.send(b"x" * 1000)
            await sink.exactly(1000)
        assert unpaced == []
        await asyncio.gather(source.send(bytes(BULK)), sink.exactly(BULK))
        out = link.relay.upstream if writer == "client" else link.relay.client
        assert set(unpaced) == {out.socket}
        assert len(unpaced) < BULK // (1 << 20), "not at every read"


async def test_a_pipe_goes_back_when_the_direction_is_idle_again(spliced: list[int]) -> None:
    """After a burst, a direction that waits for more holds no pipe, and the pool has it back."""
    async with stage(pipes=1) as on:
        link = on.link()
        for _ in range(3):
            before = len(spliced)
            await asyncio.gather(link.client.send(bytes(4 << 20)), link.upstream.exactly(4 << 20))
            assert len(spliced) > before
            await soon(lambda: on.pipes.lent == 0)
        assert len(on.pipes._idle) == 1


async def test_a_stalled_direction_keeps_its_pipe_and_one_without_copies(spliced: list[int]) -> None:
    """With every pipe lent to a stalled direction, another bulk stream goes by copying, and both arrive whole."""
    async with stage(pipes=1) as on:
        stalled, other = on.link(), on.link()
        filling = asyncio.ensure_future(stalled.client.send(bytes(BULK), eof=True))
        await soon(lambda: on.pipes.lent == 1 and stalled.relay.up.blocked)
        spliced.clear()
        _, (total, _) = await asyncio.gather(other.client.send(bytes(BULK), eof=True), other.upstream.digest())
        assert total == BULK
        assert sum(spliced) < BULK // 10, "the stalled one may still move what its reader's kernel finds room for"
        assert (await stalled.upstream.digest())[0] == BULK
        await filling


@settings(max_examples=40)
@given(
    bursts=st.lists(st.sampled_from([1, READ_BYTES, 4 * READ_BYTES, 5 * READ_BYTES + 1, 3_000_000]), max_size=6),
    stalls=st.lists(st.booleans(), min_size=6, max_size=6),
    pipes=st.sampled_from([1, 2]),
)
async def test_nothing_is_lost_at_any_switch(bursts: list[int], stalls: list[bool], pipes: int) -> None:
    """Bursts and single bytes, with stalls of the reader between them, arrive as they were sent in both directions."""
    noise = random.Random(5)  # noqa: S311 - data, no secret
    data = [noise.randbytes(size) for size in bursts]
    async with stage(pipes=pipes) as on:
        link = on.link()
        for source, sink in (link.ends("client"), link.ends("upstream")):
            for burst, stall in zip(data, stalls, strict=False):
                sending = asyncio.ensure_future(source.send(burst))
                if stall:
                    await asyncio.sleep(0.002)
                assert await sink.exactly(len(burst)) == burst
                await sending
        link.client.end()
        link.upstream.end()
        assert await link.ended() == "closed"
        assert link.relay.up.moved == link.relay.down.moved == sum(bursts)


@pytest.mark.parametrize("victim", ["client", "upstream"])
async def test_a_reset_amid_splicing_gives_no_filled_pipe_back(victim: str) -> None:
    """A reader that resets with bytes in the pipe ends the relay; that pipe is closed, not lent again."""
    descriptors = len(os.listdir("/proc/self/fd"))
    async with stage(pipes=1) as on:
        link = on.link()
        writer = "upstream" if victim == "client" else "client"
        source, sink = link.ends(writer)
        direction = link.relay.up if writer == "client" else link.relay.down
        sending = asyncio.ensure_future(source.send(bytes(BULK)))
        await soon(lambda: direction._pipe is not None and direction._pipe.filled > 0)
        sink.reset()
        assert await link.ended() == f"{victim}_reset"
        with pytest.raises(ConnectionError):
            await sending
        assert on.pipes.lent == 0
        assert on.pipes._idle == []
    await soon(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


async def test_a_reset_that_a_splice_swallowed_is_no_end_of_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A splice that a reset cuts short tells what went and drops the error: the writer is reset all the same."""
    splice = os.splice

    async with stage(pipes=1) as on:
        link = on.link()
        sink = link.relay.upstream.socket

        def cut_short(source: int, target: int, count: int, *, flags: int) -> int:
            if target != sink.fileno() or link.upstream.socket.fileno() < 0:
                return splice(source, target, count, flags=flags)
            sent = splice(source, target, count // 2, flags=flags)
            link.upstream.reset()
            assert sink.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET, "and it is told once only"
            return sent

        monkeypatch.setattr(os, "splice", cut_short)
        with pytest.raises(ConnectionResetError):
            await link.client.send(bytes(BULK))
        assert await link.ended() == "upstream_reset"


async def test_a_kernel_that_does_not_splice_costs_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where splice is refused before the first byte, copying takes over, nothing is lost, and it is not tried again."""
    attempts = []

    def refuse(*_: object, **__: object) -> int:
        attempts.append(1)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "splice", refuse)
    data = random.Random(6).randbytes(BULK)  # noqa: S311 - data, no secret
    async with stage() as on:
        link = on.link()
        _, (total, digest) = await asyncio.gather(link.client.send(data, eof=True), link.upstream.digest())
        assert (total, digest) == (BULK, hashlib.sha256(data).hexdigest())
        assert len(attempts) == 1
        assert on.pipes.take(link.relay.up) is None


def sends_urgent(sock: socket.socket) -> bool:
    """Tell whether there was room for an urgent byte."""
    with contextlib.suppress(BlockingIOError):
        return sock.send(b"!", socket.MSG_OOB) == 1
    return False


async def test_an_urgent_byte_amid_splicing_holds_nothing_up() -> None:
    """Splicing cannot pass an urgent byte: what is behind it still arrives, though nothing more comes to wake us."""

    async def send(link: Link) -> None:
        await link.client.send(bytes(BULK // 2))
        await soon(lambda: sends_urgent(link.client.socket), "room for the urgent byte")
        await link.client.send(bytes(BULK // 2))

    async with stage() as on:
        for _ in range(6):
            link = on.link()
            link.upstream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            sending = asyncio.ensure_future(send(link))
            await soon(lambda link=link: on.pipes.lent and link.relay.up.blocked)  # type: ignore[misc]  # a default
            got = await link.upstream.exactly(BULK + 1)
            await sending
            assert got.index(b"!") == BULK // 2
            link.close()
