"""Relays on the running event loop, with a test at both outer ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from typing import TYPE_CHECKING

from ambassador.net.poller import Poller
from ambassador.relay import Leg, Pipes, Relay
from ambassador.tunnel.contexts import key_tunnel
from ambassador.tunnel.keys import generate, parse
from tests.support.deadline import PATIENCE, soon
from tests.support.net import pair, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ambassador import tunnel
    from ambassador.relay.encrypted import Codec


class End:
    """What an application sees of one end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        self.socket = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes, *, eof: bool = False) -> None:
        """Send all of *data*, and end the stream after it if *eof*."""
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.socket, data)
        if eof:
            self.end()

    def end(self) -> None:
        """End the stream."""
        self.socket.shutdown(socket.SHUT_WR)

    def fill(self) -> int:
        """Send until the kernels on the way take no more at the moment; return how much that was."""
        total = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                total += self.socket.send(bytes(1 << 16))
        return total

    async def fill_up(self) -> int:
        """Send until nothing moves any more; return how much that was."""
        sent = calm = 0
        while calm < 20:
            filled = self.fill()
            sent += filled
            calm = 0 if filled else calm + 1
            await asyncio.sleep(0.005)
        return sent

    async def receive(self, most: int = 1 << 18) -> bytes:
        """Return what has come, nothing at end of stream; a reset raises."""
        async with asyncio.timeout(PATIENCE):
            return await self._loop.sock_recv(self.socket, most)

    async def exactly(self, count: int) -> bytes:
        """Return *count* bytes."""
        data = b""
        while len(data) < count:
            chunk = await self.receive(count - len(data))
            assert chunk, f"end of stream after {len(data)} of {count} bytes"
            data += chunk
        return data

    async def to_end(self, most: int = 1 << 18) -> bytes:
        """Return everything up to end of stream; a reset raises."""
        chunks = []
        while chunk := await self.receive(most):
            chunks.append(chunk)
        return b"".join(chunks)

    async def digest(self) -> tuple[int, str]:
        """Read up to end of stream; return how many bytes came, and their hash."""
        digest, total = hashlib.sha256(), 0
        while chunk := await self.receive():
            digest.update(chunk)
            total += len(chunk)
        return total, digest.hexdigest()

    async def to_reset(self) -> bytes:
        """Return everything up to a reset; an orderly end fails."""
        data = b""
        while True:
            try:
                chunk = await self.receive()
            except ConnectionResetError:
                return data
            assert chunk, f"an orderly end after {len(data)} bytes where a reset was due"
            data += chunk

    def reset(self) -> None:
        """Close by a reset."""
        reset(self.socket)

    def close(self) -> None:
        """Close in order."""
        self.socket.close()


class Link:
    """A relay between two ends, and what it reported."""

    def __init__(self, stage: Stage, codec: Codec | None) -> None:
        outer_client, inner_client = pair()
        inner_upstream, outer_upstream = pair()
        self.client, self.upstream = End(outer_client), End(outer_upstream)
        self.over: list[str] = []
        self.reasons: list[str] = []
        self.errors: list[Exception] = []
        client, upstream = Leg(inner_client, codec), Leg(inner_upstream, None)
        for leg in (client, upstream):
            leg.socket.setblocking(False)  # noqa: FBT003 - the name of it
            leg.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            stage.poller.register(leg.socket, leg.note)
        self.relay = Relay(client, upstream, poller=stage.poller, pipes=stage.pipes, owner=self)

    def relay_over(self, end: str, reason: str = "") -> None:
        """Keep what the relay reports."""
        self.over.append(end)
        self.reasons.append(reason)

    def relay_failed(self, error: Exception) -> None:
        """Keep what the relay reports."""
        self.errors.append(error)

    def ends(self, writer: str) -> tuple[End, End]:
        """Return the end called *writer*, and the other one."""
        return (self.client, self.upstream) if writer == "client" else (self.upstream, self.client)

    async def ended(self) -> str:
        """Wait until the relay reports its ending; return it."""
        await soon(lambda: self.over, "the end of the relay")
        assert self.errors == []
        (end,) = self.over
        return end

    def close(self) -> None:
        """Close what is open yet."""
        if not self.relay.over:
            self.relay.cut()
        self.client.close()
        self.upstream.close()


class Stage:
    """A poller and a pool of pipes on the running event loop."""

    def __init__(self, pipes: int) -> None:
        self.poller = Poller(asyncio.get_running_loop())
        self.pipes = Pipes(pipes)
        self.links: list[Link] = []

    def link(self, *, start: bool = True, codec: Codec | None = None) -> Link:
        """Return a new relay, at work already unless *start* is false; with a codec its client comes by a tunnel."""
        link = Link(self, codec)
        self.links.append(link)
        if start:
            link.relay.start()
        return link


@contextlib.asynccontextmanager
async def stage(*, pipes: int = 8) -> AsyncIterator[Stage]:
    """Yield a stage; close everything on it in the end. All pipes must be back by then."""
    made = Stage(pipes)
    try:
        yield made
        for link in made.links:
            link.close()
        assert made.pipes.lent == 0
    finally:
        for link in made.links:
            link.close()
        made.poller.shut_down()
        made.pipes.close()


def shaken_hands() -> tuple[tunnel.Codec, tunnel.Codec]:
    """Return the codecs of a tunnel's two ends, the dialling one first."""
    keys = parse(generate())
    far, near = key_tunnel(keys, server_side=False).codec(), key_tunnel(keys, server_side=True).codec()
    far.handshake()
    near.handshake(far.outgoing())
    far.handshake(near.outgoing())
    near.handshake(far.outgoing())
    return far, near
