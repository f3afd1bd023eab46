"""An endpoint knows how many have chosen it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.net.deadlines import TICK
from tests.support.clock import FakeClock
from tests.support.dials import dialling
from tests.support.net import black_hole
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve


async def test_an_endpoint_counts_a_dial_from_its_choice_on(serve: Serve) -> None:
    """A dial counts for the one endpoint that it tries, and a connection for the one that it reached."""
    server, clock = serve(hold), FakeClock()
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, server.port, timeout=2.0)
            hole, live = upstream.endpoints
            callers = [on.call(upstream) for _ in range(3)]
            assert (hole.live, live.live) == (3, 0)
            cancelled = callers[0].dial
            assert cancelled is not None
            cancelled.cancel()
            on.callers.remove(callers[0])
            assert (hole.live, live.live) == (2, 0)
            clock.advance(1.0 + TICK)
            assert (hole.live, live.live) == (0, 2)
            for caller in callers[1:]:
                await caller.answered()
            assert (hole.live, live.live) == (0, 2)  # which is the owners' to give back


async def test_an_endpoint_does_not_count_a_dial_that_found_nobody() -> None:
    """A dial that is over without a connection counts nowhere."""
    clock = FakeClock()
    with black_hole() as port:
        async with dialling(clock=clock) as on:
            upstream = on.upstream(port, port, timeout=2.0)
            caller = on.call(upstream)
            clock.advance(2.0 + TICK)
            assert await caller.answered() == "connect_timeout"
            assert [endpoint.live for endpoint in upstream.endpoints] == [0, 0]
