"""The header that an upstream is sent, where its socket does not take it."""

from __future__ import annotations

import errno

import pytest

from ambassador.net.address import Address
from ambassador.relay import Leg
from ambassador.server.proxy_header import send_header
from tests.support.net import LOCAL, pair, reset
from tests.support.stage import End

CLIENT, SERVER = Address(LOCAL, 50000), Address(LOCAL, 6379)


@pytest.mark.parametrize("end", ["full", "reset"])
async def test_a_header_that_does_not_go_is_noted_for_the_relay(end: str) -> None:
    """Whether the queue is full or the upstream gone, the leg has an error, since no event may tell of it again."""
    ours, theirs = pair()
    with ours, theirs:
        ours.settimeout(0)
        if end == "reset":
            reset(theirs)
        else:
            End(ours).fill()
        leg = Leg(ours)

        send_header(leg, "v2", CLIENT, SERVER)

        assert leg.error in ({errno.ECONNRESET, errno.EPIPE} if end == "reset" else {errno.EAGAIN})
