"""The handshake with a server ends with the first bytes that it gets, or without them when there are none."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from ambassador.net import tcp
from ambassador.relay import Leg, Pipes, Relay
from tests.support.deadline import soon
from tests.support.dials import dialling
from tests.support.net import LOCAL, pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.dials import Dialling

# struct tcp_info, linux/tcp.h: tcpi_segs_out.
_SEGMENTS_OUT = struct.Struct("=136xI")
# The kernel ends the handshake by itself after 200 ms, which a machine that stalls may take before a test looks.
_TRIES = 20


def segments(sock: socket.SocketType) -> int:
    """Count the segments that a socket has sent, its SYN among them."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS_OUT.size)
    return int(_SEGMENTS_OUT.unpack(info)[0])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen, and accept only what the test asks for."""
    with socket.create_server((LOCAL, 0)) as sock:
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        yield sock


class Scene:
    """A relay between a client of the test's and what a dial has just reached; it has not been started."""

    def __init__(self, on: Dialling, leg: Leg) -> None:
        self.client, inner = pair()
        inner.setblocking(False)  # noqa: FBT003 - the name of it
        self.leg = leg
        self.client_leg = Leg(inner)
        on.poller.register(inner, self.client_leg.note)
        self.pipes = Pipes(1)
        self.relay = Relay(self.client_leg, leg, on.poller, self.pipes, self)

    def relay_over(self, end: str, reason: str = "") -> None:
        """Hear that the relay is over."""

    def relay_failed(self, error: Exception) -> None:
        """Fail with the relay."""
        raise error

    def close(self) -> None:
        """Close everything."""
        if not self.relay.over:
            self.relay.cut()
        self.client.close()
        self.pipes.close()


@contextlib.asynccontextmanager
async def scene(listener: socket.socket) -> AsyncIterator[Scene]:
    """Yield a scene before its first bytes."""
    async with dialling() as on:
        caller = on.call(on.upstream(listener.getsockname()[1]))
        await caller.answered()
        leg, caller.leg = caller.leg, None  # the relay closes it
        assert leg is not None
        made = Scene(on, leg)
        try:
            yield made
        finally:
            made.close()


async def test_bytes_that_wait_already_end_the_handshake(listener: socket.socket) -> None:
    """A client that has spoken by the time of the dial costs one segment besides the SYN, not two."""
    for _ in range(_TRIES):
        async with scene(listener) as on:
            on.client.sendall(b"x")
            await soon(lambda: on.client_leg.readable, "the client's byte")
            before = segments(on.leg.socket)
            on.relay.start()
            assert segments(on.leg.socket) == before + 1
            if before == 1:
                return
    pytest.fail("the kernel ended every handshake by itself")


async def test_a_server_of_a_silent_client_is_told_at_once(listener: socket.socket) -> None:
    """A server that speaks first need not wait for anything: without bytes to send the handshake is ended, too."""
    async with scene(listener) as on:
        on.relay.start()
        assert segments(on.leg.socket) == 2


async def test_bytes_that_the_server_lets_in_later_do_not_keep_the_handshake(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SYN proxy answers with a closed window: bytes that wait for it take no acknowledgement along."""
    acknowledged: list[tuple[socket.SocketType, int]] = []
    acknowledge = tcp.acknowledge

    async with scene(listener) as on:

        def watched(sock: socket.SocketType) -> None:
            acknowledged.append((sock, on.relay.up.moved))
            acknowledge(sock)

        monkeypatch.setattr(tcp, "acknowledge", watched)
        on.client.sendall(b"x")
        await soon(lambda: on.client_leg.readable, "the client's byte")
        on.relay.start()
        assert acknowledged == [(on.leg.socket, 1)]


async def test_a_client_that_was_reset_is_a_reset_for_the_server(listener: socket.socket) -> None:
    """A server sees somebody come and go by a reset, as it would without anything between, and not nobody."""
    async with scene(listener) as on:
        on.client_leg.error = errno.ECONNRESET
        on.relay.start()
        accepted: list[socket.socket] = []

        def accept() -> bool:
            with contextlib.suppress(BlockingIOError):
                accepted.append(listener.accept()[0])
            return bool(accepted)

        await soon(accept, "a connection at the server")
        with accepted[0] as server, pytest.raises(ConnectionResetError):
            server.recv(1)
