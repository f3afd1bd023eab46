"""An urgent byte goes on as one: every byte once, in its place, with its mark."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.net import tcp
from ambassador.net.poller import IN
from ambassador.relay.direction import READ_BYTES, Direction
from tests.support.deadline import soon
from tests.support.stage import End, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

BULK = 8 << 20


def inline(end: End) -> End:
    """Have *end* read urgent bytes in their places; return it."""
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    return end


def send_urgent(end: End, byte: bytes = b"!") -> bool:
    """Tell whether there was room for an urgent byte."""
    with contextlib.suppress(BlockingIOError):
        return end.socket.send(byte, socket.MSG_OOB) == 1
    return False


def announced(end: End) -> bool:
    """Tell whether an urgent byte has come."""
    return bool(select.select([], [], [end.socket], 0)[2])


async def to_marks(end: End, count: int) -> tuple[bytes, list[int]]:
    """Read *count* bytes in line; return them, and where urgent ones were among them."""
    data, marks = bytearray(), []
    while len(data) < count:
        waiting = await soon(lambda: tcp.unread(end.socket), f"more than {len(data)} bytes")
        if tcp.at_mark(end.socket):
            marks.append(len(data))
            waiting = 1
        data += end.socket.recv(waiting)  # ends before the next mark
    return bytes(data), marks


@pytest.mark.parametrize("writer", ["client", "upstream"])
async def test_an_urgent_byte_is_kept_apart_for_who_does_not_read_it_in_line(writer: str) -> None:
    """Whoever asks for urgent bytes gets it by MSG_OOB, and it is not in the stream."""
    async with stage() as on:
        source, sink = on.link().ends(writer)
        await source.send(b"ab")
        assert send_urgent(source)
        await source.send(b"cd", eof=True)
        await soon(lambda: announced(sink))
        assert sink.socket.recv(1, socket.MSG_OOB) == b"!"
        assert await sink.to_end() == b"abcd"


@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"", b"cd"), (b"ab", b""), (b"ab", b"cd")])
async def test_an_urgent_byte_has_its_mark_wherever_it_is(before: bytes, after: bytes) -> None:
    """First, last, alone, before the end: the mark is at the byte, and the stream ends as it did."""
    async with stage() as on:
        link = on.link()
        sink = inline(link.upstream)
        await link.client.send(before)
        assert send_urgent(link.client)
        await link.client.send(after, eof=True)
        assert await to_marks(sink, len(before + after) + 1) == (before + b"!" + after, [len(before)])
        assert await sink.to_end() == b""
        assert link.relay.up.moved == len(before + after) + 1


async def test_each_of_many_urgent_bytes_is_one_if_it_is_taken_before_the_next() -> None:
    """A reader that keeps up sees every mark, and no byte in between is lost."""
    async with stage() as on:
        link = on.link()
        for number in range(50):
            assert send_urgent(link.client, bytes([number]))
            await soon(lambda: announced(link.upstream))
            assert link.upstream.socket.recv(1, socket.MSG_OOB) == bytes([number])
            await link.client.send(b"x")
            assert await link.upstream.exactly(1) == b"x"


async def test_a_newer_mark_takes_the_place_of_the_older() -> None:
    """Of two urgent bytes that wait for us the first has become one of many: in its place, without a mark."""
    async with stage() as on:
        link = on.link(start=False)
        sink = inline(link.upstream)
        for data in (b"a", b"!", b"b", b"?", b"c"):
            link.client.socket.send(data, 0 if data.isalpha() else socket.MSG_OOB)
        link.relay.start()
        assert await to_marks(sink, 5) == (b"a!b?c", [3])


async def test_an_urgent_byte_that_finds_no_room_is_sent_as_urgent_later() -> None:
    """It is held with its mark while the sink is full, and nothing behind it passes it."""
    async with stage() as on:
        link = on.link(start=False)
        sink = inline(link.upstream)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += link.relay.upstream.socket.send(bytes(READ_BYTES))
        assert send_urgent(link.client)
        await link.client.send(b"cd", eof=True)
        link.relay.start()
        await soon(lambda: link.relay.up.blocked)
        data, marks = await to_marks(sink, filled + 3)
        assert (data[filled:], marks) == (b"!cd", [filled])
        assert await sink.to_end() == b""


async def test_a_mark_that_no_event_has_told_of_yet_is_found_after_a_full_read() -> None:
    """A read that fills the buffer may end just before an urgent byte: the next one does not pass over it."""
    async with stage() as on:
        link = on.link(start=False)
        sink = inline(link.upstream)
        await link.client.send(bytes(READ_BYTES))
        await soon(lambda: link.relay.client.readable)
        link.relay.client.urgent = False
        assert send_urgent(link.client)
        await link.client.send(b"cd")
        # No turn of the event loop since: it knows of the first bytes only.
        link.relay.start()
        data, marks = await to_marks(sink, READ_BYTES + 3)
        assert (data[READ_BYTES:], marks) == (b"!cd", [READ_BYTES])


async def test_a_mark_that_comes_right_behind_another_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an urgent byte is passed on a second one comes: no read begins there without knowing."""
    send = Direction.send

    async with stage() as on:
        link = on.link()

        def sending(self: Direction, data: bytes | memoryview, flags: int = 0) -> int:
            if flags and bytes(data) == b"1":
                assert send_urgent(link.client, b"2")
            return send(self, data, flags)

        monkeypatch.setattr(Direction, "send", sending)
        sink = inline(link.upstream)
        assert send_urgent(link.client, b"1")
        await soon(lambda: tcp.unread(sink.socket) == 2)
        assert link.relay.up.moved == 2
        data, marks = await to_marks(sink, 2)
        assert (data, marks[-1]) == (b"12", 1)


@pytest.mark.parametrize("pipes", [0, 8])
async def test_an_urgent_byte_amid_bulk_keeps_its_place_and_mark(pipes: int) -> None:
    """Copied or spliced, a stream with an urgent byte and its end right behind arrives whole, with one mark."""
    async with stage(pipes=pipes) as on:
        for _ in range(5):
            link = on.link()
            sink = inline(link.upstream)
            reading = asyncio.ensure_future(to_marks(sink, BULK + 4))
            await link.client.send(bytes(BULK))
            await soon(lambda link=link: send_urgent(link.client))  # type: ignore[misc]  # a default
            await link.client.send(b"end", eof=True)
            data, marks = await reading
            assert (data[BULK:], marks) == (b"!end", [BULK])
            assert await sink.to_end() == b""


async def test_splicing_ends_before_an_urgent_byte_and_not_the_stream() -> None:
    """splice(2) tells an end of stream before an urgent byte that has the end behind it: it is none yet."""
    async with stage() as on:
        link = on.link(start=False)
        sink = inline(link.upstream)
        assert send_urgent(link.client)
        await link.client.send(b"cd", eof=True)
        await soon(lambda: link.relay.client.urgent and link.relay.client.finishing)
        link.relay.client.urgent = False  # as before its event is handled
        link.relay.up._full = True
        link.relay.start()
        assert await to_marks(sink, 3) == (b"!cd", [0])
        assert await sink.to_end() == b""


async def test_a_direction_is_spliced_again_after_an_urgent_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a mark is passed nothing is asked any more, and bulk is spliced as before."""
    asked: list[bool] = []
    at_mark = tcp.at_mark

    def asking(sock: socket.SocketType) -> bool:
        asked.append(at_mark(sock))
        return asked[-1]

    monkeypatch.setattr(tcp, "at_mark", asking)
    async with stage() as on:
        link = on.link()
        sink = inline(link.upstream)
        assert send_urgent(link.client)
        assert await sink.exactly(1) == b"!"
        await soon(lambda: not link.relay.client.urgent)
        asked.clear()
        sending = asyncio.ensure_future(link.client.send(bytes(BULK)))
        await soon(lambda: on.pipes.lent == 1)
        await asyncio.gather(sending, sink.exactly(BULK))
        spliced_after = len(asked)
        for _ in range(100):
            await link.client.send(b"x")
            await sink.exactly(1)
        assert len(asked) == spliced_after, "small messages ask nothing"


async def test_a_flood_of_urgent_bytes_costs_a_few_calls_each_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of urgent bytes arrive whole, asked for three times each at most; another connection is served."""
    asked = 0
    at_mark = tcp.at_mark

    def asking(sock: socket.SocketType) -> bool:
        nonlocal asked
        asked += 1
        return at_mark(sock)

    async with stage() as on:
        flooded, other = on.link(), on.link()
        sink = inline(flooded.upstream)
        monkeypatch.setattr("ambassador.relay.urgent.tcp.at_mark", asking)
        sent = served = 0
        data = b""
        while sent < 5000:
            while sent < 5000 and send_urgent(flooded.client):
                sent += 1
            await other.client.send(b"x")
            served += len(await other.upstream.exactly(1))
            with contextlib.suppress(BlockingIOError):
                data += sink.socket.recv(1 << 16)
        data += await sink.exactly(sent - len(data))
        assert data == b"!" * sent
        assert served > 0
        assert asked <= 3 * sent
        before = asked
        for _ in range(20):
            await other.client.send(b"x")
            await other.upstream.exactly(1)
        assert asked == before, "nothing is urgent any more"


@settings(max_examples=40)
@given(
    pieces=st.lists(st.sampled_from([0, 1, 1000, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 600_000]), max_size=8),
    pipes=st.sampled_from([0, 1]),
)
async def test_marks_are_where_urgent_bytes_were_sent(pieces: Sequence[int], pipes: int) -> None:
    """Whatever is sent around urgent bytes arrives whole; no mark is elsewhere, and the last one is never lost."""
    async with stage(pipes=pipes) as on:
        link = on.link()
        sink = inline(link.upstream)
        expected = b"".join(bytes(size) + b"!" for size in pieces)
        reading = asyncio.ensure_future(to_marks(sink, len(expected)))
        for size in pieces:
            await link.client.send(bytes(size))
            await soon(lambda: send_urgent(link.client))
        link.client.end()
        data, marks = await reading
        assert data == expected
        assert all(expected[mark] == ord("!") for mark in marks)
        assert marks[-1:] == ([len(expected) - 1] if pieces else [])
        assert await sink.to_end() == b""


async def test_a_stale_event_makes_nobody_ask_for_long() -> None:
    """An event that tells of a mark that was passed already is forgotten as soon as nothing is left to read."""
    async with stage() as on:
        link = on.link()
        link.relay.client.urgent = True
        link.relay.client.on_events(IN)
        assert not link.relay.client.urgent
        await link.client.send(b"x")
        assert await link.upstream.exactly(1) == b"x"
