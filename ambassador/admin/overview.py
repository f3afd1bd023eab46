"""What the admin server knows of the ambassador and may ask of it, whether that is one process or several."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.server import report

if TYPE_CHECKING:
    from ambassador.server.report import ConnectionReport, Report, Reported


class Overview(Protocol):
    """One ambassador, seen from outside."""

    async def report(self) -> Report:
        """Return its report, as `ambassador.server.report.report` makes it."""

    async def connections(self) -> list[ConnectionReport]:
        """Return all live connections, as `ambassador.server.report.slices` makes them."""

    async def kill(self, number: int) -> bool | None:
        """Reset a connection; tell whether there was one of this number, None when whoever has it does not say."""

    def drain(self) -> None:
        """Begin the drain as SIGTERM does; does nothing when it has begun."""

    def not_ready(self) -> str | None:
        """Say why it should not be sent traffic; None when it should."""


class Served(report.Reported, Protocol):
    """The process that is looked at."""

    def drain(self, reason: str) -> None:
        """Begin the drain; does nothing when it has begun."""

    def not_ready(self) -> str | None:
        """Say why it should not be sent traffic; None when it should."""


class LocalOverview:
    """This very process."""

    def __init__(self, process: Served) -> None:
        self._process = process

    async def report(self) -> Report:
        """Return the process's report."""
        return report.report(self._process)

    async def connections(self) -> list[ConnectionReport]:
        """Return its live connections; relays have their turns meanwhile."""
        found: list[ConnectionReport] = []
        for entries in report.slices(self._process):
            found += entries
            await asyncio.sleep(0)
        return found

    async def kill(self, number: int) -> bool:
        """Reset a connection; tell whether there was one of this number."""
        return kill(self._process, number)

    def drain(self) -> None:
        """Begin the drain as SIGTERM does; does nothing when it has begun."""
        self._process.drain("admin")

    def not_ready(self) -> str | None:
        """Say why the process should not be sent traffic; None when it should."""
        return self._process.not_ready()


def kill(process: Reported, number: int) -> bool:
    """Reset connection *number* of *process*; tell whether there was one."""
    connection = process.connections.live.get(number)
    if connection is None:
        return False
    connection.cut(End.KILLED)
    return True
