"""Dials on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ambassador.config.routes import Endpoint, Route
from ambassador.net.address import Address
from ambassador.net.deadlines import Deadlines
from ambassador.net.poller import Poller
from ambassador.upstream.queue import DialState
from ambassador.upstream.resolve import HostsFile, Resolver
from ambassador.upstream.upstream import DialContext, Upstream
from tests.support.deadline import soon
from tests.support.net import LOCAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ambassador.net.clock import Clock
    from ambassador.relay import Leg
    from ambassador.upstream.dial import Dial
    from ambassador.upstream.endpoint import ServedEndpoint
    from tests.support.clock import FakeClock


class Caller:
    """Who asks for a dial, and what came of it."""

    def __init__(self) -> None:
        self.dial: Dial | None = None
        self.leg: Leg | None = None
        self.address = ""
        self.endpoint: ServedEndpoint | None = None
        self.end = ""
        self.error = ""
        self.answers = 0

    def dialled(self, leg: Leg, address: str, endpoint: ServedEndpoint) -> None:
        """Keep a success."""
        self.answers += 1
        self.leg, self.address, self.endpoint = leg, address, endpoint

    def dial_failed(self, end: str, error: str) -> None:
        """Keep a failure."""
        self.answers += 1
        self.end, self.error = end, error

    def dial_broke(self, error: Exception) -> None:
        """Keep a fault."""
        self.dial_failed("failed", f"{type(error).__name__}: {error}")

    async def answered(self) -> str:
        """Wait for the answer; return the address that was reached, or the end that the dial came to."""
        await soon(lambda: self.answers, "an answer to a dial")
        assert self.answers == 1
        return self.address or self.end


class Dialling:
    """Upstreams on the running event loop, that share a poller as the routes of a process do.

    Their time is that of the loop, or of another clock.
    """

    def __init__(self, hosts: Path | None, clock: Clock | None) -> None:
        loop = asyncio.get_running_loop()
        self.poller = Poller(loop)
        self.clock = clock or loop
        self.deadlines = Deadlines(self.clock)
        self.resolver = Resolver(loop, hosts=HostsFile(str(hosts)) if hosts else None)
        self.callers: list[Caller] = []
        self.is_own: Callable[[str, int], bool] = lambda _host, _port: False

    @property
    def context(self) -> DialContext:
        """What the dials share."""
        return DialContext(
            poller=self.poller,
            clock=self.clock,
            deadlines=self.deadlines,
            resolver=self.resolver,
            own=self,
            delay_acknowledgement=True,
        )

    def upstream(
        self, *endpoints: Endpoint | tuple[str, int] | int, timeout: float = 30.0, eject: float = 1.0
    ) -> Upstream:
        """Return an upstream of these endpoints; a number is a port of 127.0.0.1."""
        made = []
        for endpoint in endpoints:
            if isinstance(endpoint, int):
                made.append(Endpoint(Address(LOCAL, endpoint)))
            elif isinstance(endpoint, tuple):
                made.append(Endpoint(Address(*endpoint)))
            else:
                made.append(endpoint)
        route = Route("test:1", "test", (Address("", 1),), tuple(made), "TEST_PORT_1_TCP")
        return Upstream(route, self.context, timeout=timeout, eject=eject)

    def listens_at(self, host: str, port: int) -> bool:
        """Tell whether the test takes this for a listener of its own."""
        return self.is_own(host, port)

    def refusal(self, _route: Route, address: str) -> str:
        """Give the reason for not dialling one's own listener."""
        return f"{address} is a listener of this ambassador itself"

    def call(self, upstream: Upstream) -> Caller:
        """Begin a dial."""
        caller = Caller()
        self.callers.append(caller)
        caller.dial = upstream.dial(caller)
        return caller

    def close(self) -> None:
        """Give up what is under way, and close what was reached."""
        for caller in self.callers:
            if caller.leg is not None:
                self.poller.close(caller.leg.socket)
            elif not caller.answers and caller.dial is not None:
                caller.dial.cancel()
        self.poller.shut_down()


async def rests(caller: Caller) -> None:
    """Wait until a dial's round has found nobody."""
    assert caller.dial is not None
    dial = caller.dial
    await soon(lambda: dial.state is DialState.RESTING, "a dial that rests")


async def keeps_resting(caller: Caller, clock: FakeClock, seconds: float) -> None:
    """Let time pass for a dial only while it rests: what it meets in the kernel takes no time."""
    for _ in range(round(seconds * 100)):
        await rests(caller)
        clock.advance(0.01)


@contextlib.asynccontextmanager
async def dialling(hosts: Path | None = None, *, clock: Clock | None = None) -> AsyncIterator[Dialling]:
    """Yield what makes dials; close all of it in the end."""
    made = Dialling(hosts, clock)
    try:
        yield made
    finally:
        made.close()
