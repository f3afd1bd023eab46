"""End of stream, resets, and what each side sees of the other's."""

from __future__ import annotations

import asyncio
import errno
import select
from typing import TYPE_CHECKING

import pytest

from ambassador.net import tcp
from ambassador.relay import relay as relay_module
from tests.support.deadline import soon
from tests.support.stage import stage

if TYPE_CHECKING:
    from tests.support.stage import End

WAYS = pytest.mark.parametrize("writer", ["client", "upstream"])


def is_open(end: End) -> bool:
    """Tell whether an end has seen neither data nor an end yet."""
    return not select.select([end.socket], [], [], 0)[0]


async def keep_sending(end: End) -> None:
    """Send until that fails."""
    while True:
        await end.send(b"x")
        await asyncio.sleep(0.001)


@WAYS
async def test_a_half_close_leaves_the_other_way_alive(writer: str) -> None:
    """After one end's end of stream the other end still sends, a lot and in its own time, and all of it arrives."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        await source.send(b"question", eof=True)
        assert await sink.to_end() == b"question"
        assert is_open(source)
        _, (total, _) = await asyncio.gather(sink.send(bytes(5 << 20), eof=True), source.digest())
        assert total == 5 << 20
        assert await link.ended() == "closed"


@WAYS
async def test_end_of_stream_waits_for_the_bytes_before_it(writer: str) -> None:
    """A stalled reader gets every byte of a bulk stream whose writer has closed long ago, then an orderly end."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        sending = asyncio.ensure_future(source.send(bytes(12 << 20)))
        direction = link.relay.up if writer == "client" else link.relay.down
        await soon(lambda: direction.blocked)
        reading = asyncio.ensure_future(sink.digest())
        await sending
        source.end()
        assert (await reading)[0] == 12 << 20
        sink.end()
        assert await source.to_end() == b""
        assert await link.ended() == "closed"


async def test_both_ends_close_at_once() -> None:
    """Two ends that finish at the same moment both see an orderly end and each other's last bytes."""
    async with stage() as on:
        link = on.link()
        await asyncio.gather(link.client.send(b"up", eof=True), link.upstream.send(b"down", eof=True))
        assert await link.client.to_end() == b"down"
        assert await link.upstream.to_end() == b"up"
        assert await link.ended() == "closed"


async def test_an_orderly_close_waits_until_the_last_byte_is_taken() -> None:
    """When both streams have ended, the sockets stay until a slow reader's kernel has everything: no reset, no loss."""
    async with stage() as on:
        link = on.link()
        sending = asyncio.ensure_future(link.upstream.send(bytes(8 << 20), eof=True))
        link.client.end()
        await soon(lambda: link.relay.down.blocked)
        total = 0
        while chunk := await link.client.receive(100_000):
            total += len(chunk)
        await sending
        assert total == 8 << 20
        assert await link.ended() == "closed"


async def test_a_connection_is_not_over_before_its_last_byte_is_taken() -> None:
    """With both streams ended and the last bytes in our kernel's queue, the relay waits for their reader."""
    async with stage() as on:
        link = on.link()
        ours = link.relay.client.socket
        sent = 0
        while tcp.unacknowledged(ours) < 200_000:
            await link.upstream.send(bytes(50_000))
            sent += 50_000
            await asyncio.sleep(0.001)
        link.client.end()
        link.upstream.end()
        await soon(lambda: link.relay.up.over and link.relay.down.over)
        timers: list[object] = []

        def has_looked_again() -> bool:
            if link.relay._timer not in timers:
                timers.append(link.relay._timer)
            return len(timers) > 3

        await soon(has_looked_again)
        assert link.over == []
        assert len(await link.client.to_end()) == sent
        assert await link.ended() == "closed"


@WAYS
async def test_a_reset_after_end_of_stream_is_passed_on(writer: str) -> None:
    """An end that finished its stream and then resets is still noticed: the other end is reset."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        await source.send(b"last words", eof=True)
        assert await sink.to_end() == b"last words"
        source.reset()
        # EPIPE is what the kernel calls a reset after end of stream.
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await keep_sending(sink)
        assert await link.ended() == f"{writer}_reset"


@WAYS
async def test_a_reset_of_a_stalled_reader_reaches_its_writer(writer: str) -> None:
    """A reader that stalls and then resets, while reading from the writer is paused, resets the writer."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        direction = link.relay.up if writer == "client" else link.relay.down
        sending = asyncio.ensure_future(source.send(bytes(64 << 20)))
        await soon(lambda: direction.blocked)
        sink.reset()
        with pytest.raises(ConnectionResetError):
            await sending
        other = "upstream" if writer == "client" else "client"
        assert await link.ended() == f"{other}_reset"


@WAYS
@pytest.mark.parametrize("pipes", [0, 8], ids=["copied", "spliced"])
async def test_a_reset_of_a_paused_writer_comes_after_its_bytes(writer: str, pipes: int) -> None:
    """A writer resets while its reader stalls: the reader gets every byte that our kernel had taken, then the reset."""
    async with stage(pipes=pipes) as on:
        link = on.link()
        source, sink = link.ends(writer)
        direction = link.relay.up if writer == "client" else link.relay.down
        sent = await source.fill_up()
        assert direction.blocked
        taken = sent - tcp.unacknowledged(source.socket)
        source.reset()
        await soon(lambda: link.relay._lost is not None)
        assert len(await sink.to_reset()) >= taken
        assert await link.ended() == f"{writer}_reset"


async def test_a_reset_does_not_wait_for_ever_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing holds a reset up for the patience of the relay only."""
    monkeypatch.setattr(relay_module, "RESET_PATIENCE", 0.1)
    async with stage() as on:
        link = on.link()
        while not link.relay.up.blocked:
            link.client.fill()
            await asyncio.sleep(0.001)
        link.client.reset()
        assert await link.ended() == "client_reset"
        await link.upstream.to_reset()


async def test_both_ends_reset() -> None:
    """Two resets are one ending, named after the first."""
    async with stage() as on:
        link = on.link()
        await link.client.send(b"x")
        await link.upstream.exactly(1)
        link.client.reset()
        link.upstream.reset()
        assert await link.ended() in {"client_reset", "upstream_reset"}


@WAYS
async def test_a_dead_peer_is_told_from_a_reset(writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that was not heard of for too long ends as `peer_dead`, and the other end is reset."""
    monkeypatch.setattr(relay_module, "RESET_PATIENCE", 0.1)
    async with stage() as on:
        link = on.link()
        _, sink = link.ends(writer)
        link.relay.peer_gone(link.relay.client if writer == "client" else link.relay.upstream, errno.ETIMEDOUT)
        await sink.to_reset()
        assert await link.ended() == "peer_dead"


async def test_a_cut_resets_both_ends_and_reports_nothing() -> None:
    """A relay that is cut resets both ends at once, and leaves the reporting to whoever cut it."""
    async with stage() as on:
        link = on.link()
        link.relay.cut()
        await link.client.to_reset()
        await link.upstream.to_reset()
        assert (link.over, link.errors) == ([], [])


@WAYS
@pytest.mark.parametrize("pipes", [0, 8], ids=["copied", "spliced"])
async def test_a_cut_of_a_stalled_relay_resets_both_ends(writer: str, pipes: int) -> None:
    """A relay whose reader stalls, and whose source is not listened to meanwhile, is cut as any other."""
    async with stage(pipes=pipes) as on:
        link = on.link()
        source, sink = link.ends(writer)
        await source.fill_up()
        link.relay.cut()
        await sink.to_reset()
        await source.to_reset()
        assert (link.over, link.errors) == ([], [])


async def test_an_error_of_ours_ends_one_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error within one relay resets its ends and is reported; another relay goes on."""
    async with stage() as on:
        link, other = on.link(), on.link()

        def broken(*_: object) -> None:
            raise LookupError("broken on purpose")

        monkeypatch.setattr(type(link.relay), "read_to_end", broken)
        link.client.end()
        await link.client.to_reset()
        await link.upstream.to_reset()
        monkeypatch.undo()
        assert [str(error) for error in link.errors] == ["broken on purpose"]
        assert link.over == []
        await other.client.send(b"fine")
        assert await other.upstream.receive() == b"fine"


async def test_an_error_of_ours_after_the_end_is_told_all_the_same() -> None:
    """What fails once both sockets are closed is no ending, and is reported."""
    async with stage() as on:
        link = on.link()
        link.client.end()
        link.upstream.end()
        assert await link.ended() == "closed"
        link.relay.fail(LookupError("late"))
        assert [str(error) for error in link.errors] == ["late"]


@WAYS
async def test_what_an_ended_relay_leaves_is_freed_at_once(writer: str) -> None:
    """A relay that has ended holds no circle of references: its legs know neither it nor each other."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        source.end()
        sink.end()
        assert await link.ended() == "closed"
        assert not hasattr(link.relay.client, "relay")
        assert not hasattr(link.relay.upstream, "outbound")
        assert link.relay.client.socket.fileno() == link.relay.upstream.socket.fileno() == -1


@WAYS
async def test_an_end_of_stream_before_a_reset_stays_one(writer: str) -> None:
    """Who ends its stream, then closes with bytes unread, ends in order on the other side, then is reset."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        await sink.send(b"never read")
        await soon(lambda: not is_open(source))
        await source.send(b"question", eof=True)
        source.close()
        assert await sink.to_end() == b"question"
        assert await link.ended() == f"{writer}_reset"


async def test_both_sides_lost_are_both_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A side that was given up for dead, and comes back after the other's reset, finds a reset and no orderly end."""
    monkeypatch.setattr(tcp, "unacknowledged", lambda _socket: 1)
    async with stage() as on:
        link = on.link()
        link.relay.peer_gone(link.relay.client, errno.ETIMEDOUT)
        link.upstream.reset()
        assert await link.ended() == "peer_dead"
        assert await link.client.to_reset() == b""
