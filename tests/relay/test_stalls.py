"""Spliced streams whose readers stall: their pipes go back, and no byte is lost, repeated or out of place."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.net import tcp
from tests.support.deadline import soon
from tests.support.stage import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador.relay.pipes import Pipe
    from tests.support.stage import End, Link, Stage

WAYS = pytest.mark.parametrize("writer", ["client", "upstream"])
BULK = 24 * 1024 * 1024
# The most that one way holds, of the 300 KiB of a connection.
HELD = 128 * 1024
# No two places of it are alike for long.
TEXT = random.Random(8).randbytes(BULK)  # noqa: S311 - data, no secret


class Stream:
    """One way of a link, whose reader reads no more than is asked of it."""

    def __init__(self, link: Link, writer: str) -> None:
        self.source, self.sink = link.ends(writer)
        self.direction = link.relay.up if writer == "client" else link.relay.down
        self.got = bytearray()
        self.sending: asyncio.Future[None] | None = None

    async def stall(self) -> Pipe:
        """Write until nothing moves, with bytes in a pipe; return the pipe."""
        self.sending = asyncio.ensure_future(self.source.send(TEXT))
        while not (self.direction.blocked and self.direction._pipe):
            if self.direction.blocked:  # before it was spliced
                with contextlib.suppress(BlockingIOError):
                    self.got += self.sink.socket.recv(1 << 16)
            await asyncio.sleep(0)
        return self.direction._pipe

    def is_drained(self) -> bool:
        """Tell whether it holds bytes in memory instead of a pipe."""
        return self.direction.blocked and self.direction._held is not None and self.direction._pipe is None

    async def finish(self) -> None:
        """Read and write all the rest, and the end of stream."""
        assert self.sending is not None

        async def end() -> None:
            assert self.sending is not None
            await self.sending
            self.source.end()

        ending = asyncio.ensure_future(end())
        self.got += await self.sink.to_end()
        await ending


def sweep(on: Stage) -> None:
    """Let two seconds pass, as far as pipes are concerned."""
    on.pipes.sweep()
    on.pipes.sweep()


@WAYS
async def test_a_stalled_stream_gives_its_pipe_back_and_loses_nothing(writer: str) -> None:
    """With what was in its pipe held in memory, and not much of it, a stalled stream goes on as if nothing had been."""
    async with stage(pipes=1) as on:
        stream = Stream(on.link(), writer)
        filled = (await stream.stall()).filled
        sweep(on)
        assert on.pipes.lent == 0
        assert stream.is_drained()
        assert stream.direction._held is not None
        assert len(stream.direction._held) == filled <= HELD
        await stream.finish()
        assert stream.got == TEXT
        assert stream.direction.moved == BULK


async def test_both_ways_stalled_hold_no_more_than_a_connection_may() -> None:
    """With both readers stalled, neither way keeps a pipe, together they hold less than 300 KiB, and both arrive."""
    async with stage() as on:
        link = on.link()
        streams = [Stream(link, writer) for writer in ("client", "upstream")]
        for stream in streams:
            await stream.stall()
        sweep(on)
        assert on.pipes.lent == 0
        assert sum(len(stream.direction._held or b"") for stream in streams) < 300 * 1024
        await asyncio.gather(*(stream.finish() for stream in streams))
        assert [stream.got for stream in streams] == [TEXT, TEXT]
        assert await link.ended() == "closed"


async def test_other_streams_are_spliced_while_many_stall() -> None:
    """With as many readers stalled as there are pipes, and after a second, another stream has its pipe."""
    async with stage(pipes=2) as on:
        stalled = [Stream(on.link(), writer) for writer in ("client", "upstream")]
        for stream in stalled:
            await stream.stall()
        other = Stream(on.link(), "client")
        assert on.pipes.take(other.direction) is None
        sweep(on)
        await other.stall()
        assert on.pipes.lent == 1
        for stream in [other, *stalled]:
            await stream.finish()
            assert stream.got == TEXT


async def test_a_stream_that_has_stalled_is_spliced_again_when_it_has_proved_itself() -> None:
    """Once 4 MiB have filled every read, a stream that goes on after a stall borrows a pipe, and not before."""
    async with stage(pipes=1) as on:
        stream = Stream(on.link(), "client")
        await stream.stall()
        sweep(on)
        moved = stream.direction.moved
        while not on.pipes.lent:
            if stream.direction.blocked:  # so that its source has more than is read at once
                with contextlib.suppress(BlockingIOError):
                    stream.got += stream.sink.socket.recv(1 << 16)
            await asyncio.sleep(0)
        assert stream.direction.moved - moved >= 60 * 65536
        await stream.finish()
        assert stream.got == TEXT


@WAYS
async def test_an_end_of_stream_waits_for_what_is_held(writer: str) -> None:
    """A half-close of a stalled stream comes after every byte that was in the pipe, and the other way lives on."""
    async with stage() as on:
        link = on.link()
        stream = Stream(link, writer)
        await stream.stall()
        sweep(on)
        assert stream.is_drained()
        await stream.sink.send(b"other way")
        assert await stream.source.exactly(9) == b"other way"
        await stream.finish()
        assert stream.got == TEXT
        await stream.sink.send(b"still", eof=True)
        assert await stream.source.to_end() == b"still"
        assert await link.ended() == "closed"


@WAYS
async def test_a_reset_of_the_writer_comes_after_what_is_held(writer: str) -> None:
    """A writer that resets a stalled stream is passed on as a reset, after all that its kernel had handed over."""
    async with stage() as on:
        link = on.link()
        stream = Stream(link, writer)
        await stream.stall()
        sweep(on)
        assert stream.is_drained()
        assert stream.sending is not None
        stream.sending.cancel()
        await soon(stream.sending.done)
        handed_over = stream.direction.moved + len(stream.direction._held or b"")
        stream.source.reset()
        stream.got += await stream.sink.to_reset()
        assert len(stream.got) >= handed_over
        assert stream.got == TEXT[: len(stream.got)]
        assert await link.ended() == f"{writer}_reset"


@WAYS
async def test_a_reset_of_the_reader_drops_what_is_held(writer: str) -> None:
    """A stalled reader that resets has its writer reset, and nothing is held any more."""
    async with stage() as on:
        link = on.link()
        stream = Stream(link, writer)
        await stream.stall()
        sweep(on)
        assert stream.is_drained()
        stream.sink.reset()
        assert await link.ended() == ("upstream_reset" if writer == "client" else "client_reset")
        assert stream.direction._held is None
        assert stream.sending is not None
        with pytest.raises(ConnectionError):
            await stream.sending


async def read_in_fits(end: End, pauses: Iterator[float], got: bytearray) -> None:
    """Read up to the end of stream, a bit at a time, with a pause before each; a reset ends it, too."""
    with contextlib.suppress(ConnectionError):
        for pause in pauses:
            await asyncio.sleep(pause)
            chunk = await end.receive(1 << 19)
            if not chunk:
                break
            got += chunk


async def write(end: End, length: int, last: str, reading: asyncio.Future[None]) -> None:
    """Send a text of this length, and end it as *last* says; a reset ends what this end is *reading*, too."""
    with contextlib.suppress(ConnectionError):
        await end.send(TEXT[:length])
        if last == "end":
            end.end()
        else:
            reading.cancel()
            await asyncio.wait([reading])
            end.reset()


def fits(seed: int) -> Iterator[float]:
    """Yield pauses: mostly none, sometimes long enough for a few sweeps."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    while True:
        yield noise.choice([0, 0, 0, 0.001, 0.003, 0.02])


@settings(max_examples=25)
@given(
    lengths=st.tuples(st.integers(0, BULK), st.integers(0, BULK)),
    lasts=st.sampled_from([("end", "end"), ("end", "end"), ("end", "reset"), ("reset", "end")]),
    seed=st.integers(0, 1 << 16),
    pipes=st.sampled_from([1, 4]),
)
async def test_readers_that_stall_and_go_on_get_every_byte(
    lengths: tuple[int, int], lasts: tuple[str, str], seed: int, pipes: int
) -> None:
    """Whenever pipes are taken back, both ways arrive to the byte; up to a reset, what arrives is their beginning."""
    async with stage(pipes=pipes) as on:
        link = on.link()

        async def sweeping() -> None:
            while True:
                on.pipes.sweep()
                await asyncio.sleep(0.002)

        up, down = bytearray(), bytearray()
        sweeper = asyncio.ensure_future(sweeping())
        upstream = asyncio.ensure_future(read_in_fits(link.upstream, fits(seed), up))
        client = asyncio.ensure_future(read_in_fits(link.client, fits(seed + 1), down))
        try:
            await asyncio.gather(
                write(link.client, lengths[0], lasts[0], client), write(link.upstream, lengths[1], lasts[1], upstream)
            )
            await asyncio.wait([upstream, client])
        finally:
            sweeper.cancel()
        if lasts == ("end", "end"):
            assert await link.ended() == "closed"
            assert up == TEXT[: lengths[0]]
            assert down == TEXT[: lengths[1]]
            assert (link.relay.up.moved, link.relay.down.moved) == lengths
        else:
            assert up == TEXT[: len(up)]
            assert down == TEXT[: len(down)]


async def test_a_kernel_out_of_memory_costs_one_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sink has no room although it was said to, one stream keeps its pipe, and the next give theirs back."""
    monkeypatch.setattr(tcp, "room", lambda _sink: 1 << 30)
    async with stage() as on:
        streams = [Stream(on.link(), "client") for _ in range(4)]
        for stream in streams:
            await stream.stall()
        sweep(on)
        assert on.pipes.lent <= 1
        for stream in streams:
            await stream.finish()
            assert stream.got == TEXT
