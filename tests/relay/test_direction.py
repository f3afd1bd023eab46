"""Ends that a read or a write meets before the event that would have told of them.

Each test has two things happen in one turn of the event loop, whose events the kernel hands out in that order.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import termios
from typing import TYPE_CHECKING, cast

import pytest

from ambassador.net import tcp
from ambassador.relay.direction import READ_BYTES
from ambassador.tunnel.credentials import SHARED_KEYS
from tests.support.deadline import soon
from tests.support.stage import End, Link, shaken_hands, stage

if TYPE_CHECKING:
    import socket

    from ambassador.relay.direction import Direction

WAYS = pytest.mark.parametrize("writer", ["client", "upstream"])


def other(writer: str) -> str:
    """Name the end that is not *writer*."""
    return "upstream" if writer == "client" else "client"


def way(link: Link, writer: str) -> Direction:
    """Return the direction in which *writer* writes."""
    return link.relay.up if writer == "client" else link.relay.down


async def fill_sink(link: Link, writer: str) -> int:
    """Fill the way to the end that does not write, before the relay starts; return how much that took."""
    sink = way(link, writer).sink.socket
    return await End(cast("socket.socket", sink)).fill_up()  # its base; what that lacks, an End needs not


def arrived(direction: Direction) -> int:
    """Count the bytes that wait to be read."""
    waiting = array.array("i", [0])
    fcntl.ioctl(direction.source.socket, termios.FIONREAD, waiting)
    return waiting[0]


async def turns() -> None:
    """Let the event loop hand out the events that are due, which would come before those of the test."""
    for _ in range(5):
        await asyncio.sleep(0)


def drain(end: End) -> int:
    """Read what is there at the moment; return how much that was."""
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            total += len(end.socket.recv(1 << 20))
    return total


@WAYS
async def test_a_write_to_a_reader_that_is_gone_ends_the_relay(writer: str) -> None:
    """Bytes that arrive together with their reader's reset end by a reset of their writer, as the reader's."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        source.socket.send(b"too late")
        sink.reset()
        assert await source.to_reset() == b""
        assert await link.ended() == f"{other(writer)}_reset"


@WAYS
async def test_what_is_held_for_a_reader_that_is_gone_ends_the_relay(writer: str) -> None:
    """A stream that ends together with its stalled reader's reset ends by a reset of its writer."""
    async with stage() as on:
        link = on.link(start=False)
        source, sink = link.ends(writer)
        await fill_sink(link, writer)
        direction = way(link, writer)
        await source.send(bytes(READ_BYTES))
        await soon(lambda: direction.source.readable)
        link.relay.start()
        assert direction.blocked
        await source.send(b"more")
        await soon(lambda: direction.source.muted)  # from here on what its source tells is its end only
        source.end()
        sink.reset()
        assert await link.ended() == f"{other(writer)}_reset"


@WAYS
async def test_an_end_that_is_passed_to_a_reader_that_is_gone_ends_the_relay(writer: str) -> None:
    """An end of stream that arrives together with its reader's reset ends by a reset of its writer."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        source.end()
        sink.reset()
        assert await source.to_reset() == b""
        assert await link.ended() == f"{other(writer)}_reset"


@WAYS
async def test_a_writer_that_is_gone_when_its_reader_goes_on_ends_the_relay(writer: str) -> None:
    """A stalled reader that goes on in the moment of its writer's reset gets all that had come, and the reset."""
    async with stage() as on:
        link = on.link(start=False)
        source, sink = link.ends(writer)
        direction = way(link, writer)
        before = await fill_sink(link, writer)
        await source.send(bytes(READ_BYTES))
        await soon(lambda: direction.source.readable and arrived(direction) == READ_BYTES)
        link.relay.start()
        assert direction.blocked
        await turns()
        drained = drain(sink)
        source.reset()
        assert drained + len(await sink.to_reset()) == before + READ_BYTES
        assert await link.ended() == f"{writer}_reset"


@WAYS
async def test_a_writer_in_bulk_that_is_gone_when_its_reader_goes_on_ends_the_relay(writer: str) -> None:
    """The same holds for a stream that is spliced."""
    async with stage() as on:
        link = on.link()
        source, sink = link.ends(writer)
        direction = way(link, writer)
        sent = drained = 0
        while not (direction.blocked and direction._pipe):
            if direction.blocked:  # before it was in bulk
                drained += drain(sink)
            with contextlib.suppress(BlockingIOError):
                sent += source.socket.send(bytes(4 * READ_BYTES))
            await turns()
        taken = sent - tcp.unacknowledged(source.socket)
        drained += drain(sink)
        source.reset()
        assert drained + len(await sink.to_reset()) >= taken
        assert await link.ended() == f"{writer}_reset"


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
@WAYS
async def test_a_reader_that_is_gone_ends_a_tunnel(writer: str) -> None:
    """What arrives together with its reader's reset, out of a tunnel or for one, ends by a reset of its writer."""
    far, near = shaken_hands()
    async with stage() as on:
        link = on.link(codec=near)
        source, sink = link.ends(writer)
        source.socket.send(far.encrypt(b"too late") if writer == "client" else b"too late")
        sink.reset()
        await source.to_reset()
        assert await link.ended() == f"{other(writer)}_reset"


@pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
async def test_a_server_that_is_gone_when_a_tunnel_has_room_again_ends_it() -> None:
    """A server that resets in the moment in which its stalled tunnel has room again ends by the tunnel's reset."""
    _, near = shaken_hands()
    async with stage() as on:
        link = on.link(start=False, codec=near)
        direction = link.relay.down
        await fill_sink(link, "upstream")
        await link.upstream.send(bytes(READ_BYTES))
        await soon(lambda: direction.source.readable and arrived(direction) == READ_BYTES)
        link.relay.start()
        assert direction.blocked
        await turns()
        drain(link.client)
        link.upstream.reset()
        await link.client.to_reset()
        assert await link.ended() == "upstream_reset"
