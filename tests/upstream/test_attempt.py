"""One address that accepts and is gone before the event loop hears of it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from ambassador.tunnel import Credentials, TunnelFiles
from ambassador.upstream.attempt import Attempt
from tests.support.deadline import soon
from tests.support.dials import dialling
from tests.support.net import LOCAL, reset
from tests.support.proofs import KeyFile, needs_keys

if TYPE_CHECKING:
    from pathlib import Path

    from ambassador.relay import Leg


class Asker:
    """Who makes an attempt, and what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.leg: Leg | None = None

    def connected(self, _attempt: Attempt, leg: Leg) -> None:
        """Keep a success."""
        self.leg = leg
        self.told.append("connected")

    def missed(self, _attempt: Attempt, error_number: int) -> None:
        """Keep a failure."""
        self.told.append(errno.errorcode[error_number])

    def handshake_begins(self, _attempt: Attempt) -> None:
        """Keep a beginning."""
        self.told.append("handshake begins")

    def handshake_failed(self, _attempt: Attempt, reason: str) -> None:
        """Keep the failure of a tunnel."""
        self.told.append(reason)


async def attempt_at_one_that_resets(credentials: Credentials | None) -> Asker:
    """Connect to a server that accepts and resets at once; return who was told of it."""
    asker = Asker()
    with socket.create_server((LOCAL, 0)) as server:
        async with dialling() as on:
            upstream = on.upstream(server.getsockname()[1])
            upstream.credentials = credentials
            attempt = Attempt(LOCAL, upstream.endpoints[0], upstream, asker)
            assert attempt.start() == 0
            reset(server.accept()[0])
            await soon(lambda: asker.told)
            attempt.cancel()
    return asker


async def test_a_reset_after_accepting_is_of_a_connection() -> None:
    """In the clear the address was reached, and it is the connection that has an error."""
    asker = await attempt_at_one_that_resets(None)
    assert asker.told == ["connected"]
    assert asker.leg is not None
    assert asker.leg.error == errno.ECONNRESET
    asker.leg.socket.close()


@needs_keys
async def test_a_reset_after_accepting_proves_nothing(tmp_path: Path) -> None:
    """Where a tunnel is due the address has failed its handshake, before one could begin."""
    key = KeyFile(tmp_path).path
    asker = await attempt_at_one_that_resets(Credentials(TunnelFiles(server_side=False, key=key)))
    assert asker.told == ["Connection reset by peer"]
