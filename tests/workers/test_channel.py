"""Messages between parent and worker arrive whole and in order, and the end of one side is known to the other."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from ambassador.workers.channel import Channel
from tests.support.deadline import soon

if TYPE_CHECKING:
    from ambassador.workers.channel import Message


async def test_messages_arrive_in_order_whatever_their_size() -> None:
    """What is sent before the channel turns, and what is larger than any buffer, comes whole and in order."""
    ours, theirs = map(Channel, socket.socketpair())
    sent: list[Message] = [{"number": 1}, {"long": "x" * 3_000_000}, {"line": "a\nb"}, {"number": 4}]

    for message in sent:
        ours.send(message)
    ended = asyncio.ensure_future(ours.receive())

    assert [await theirs.receive() for _ in sent] == sent
    await theirs.close()
    assert await ended is None
    await ours.close()


async def test_the_death_of_a_peer_ends_the_channel() -> None:
    """Half a message is none: the end of the peer, wherever it comes, is the end; sending to it is no error."""
    sock, dying = socket.socketpair()
    channel = Channel(sock)
    dying.sendall(b'{"half": ')
    dying.close()

    assert await channel.receive() is None
    channel.send({"to": "nobody"})
    assert await channel.receive() is None
    await channel.close()


async def test_a_peer_that_does_not_read_is_noticed() -> None:
    """The channel is congested as long as much waits for the peer, and no longer."""
    ours, theirs = map(Channel, socket.socketpair())
    waiting = asyncio.ensure_future(ours.receive())
    await asyncio.sleep(0)
    await soon(lambda: not ours.congested())

    for _ in range(100):
        ours.send({"long": "x" * 100_000})
        await asyncio.sleep(0)
    assert ours.congested()

    for _ in range(100):
        assert await theirs.receive() is not None
    await soon(lambda: not ours.congested())
    await theirs.close()
    assert await waiting is None
    await ours.close()


async def test_a_channel_that_was_never_used_can_be_closed() -> None:
    """Closing a channel that has not turned yet closes its socket."""
    ours, theirs = socket.socketpair()

    await Channel(ours).close()

    assert ours.fileno() == -1
    assert theirs.recv(1) == b""
    theirs.close()
