"""What the admin server knows of the ambassador and may ask of it, whether that is one process or several."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.server import report

if TYPE_CHECKING:
    from ambassador.admin.answers import ConnectionsReport
    from ambassador.server.report import ConnectionReport, Report, Reported


class Overview(Protocol):
    """One ambassador, seen from outside."""

    async def report(self) -> Report:
        """Return its report, as `ambassador.server.report.report` makes it."""

    async def connections(self, limit: int, route: str | None = None) -> ConnectionsReport:
        """Return the *limit* oldest live connections, of a route if one is named; only these are described."""

    async def kill(self, number: int) -> bool | None:
        """Reset a connection; tell whether there was one of this number, None when whoever has it does not say."""

    def drain(self, *, by: str) -> None:
        """Begin the drain as SIGTERM does, at the word of a client; does nothing when it has begun."""

    def not_ready(self) -> str | None:
        """Say why it should not be sent traffic; None when it should."""


class Served(report.Reported, Protocol):
    """The process that is looked at."""

    def drain(self, reason: str, *, by: str | None = None) -> None:
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

    async def connections(self, limit: int, route: str | None = None) -> ConnectionsReport:
        """Return its oldest live connections; relays have their turns meanwhile."""
        live = report.live(self._process, route)
        found: list[ConnectionReport] = []
        for entries in report.slices(self._process, live[:limit]):
            found += entries
            await asyncio.sleep(0)
        return {"total": len(live), "connections": found}

    async def kill(self, number: int) -> bool:
        """Reset a connection; tell whether there was one of this number."""
        return kill(self._process, number)

    def drain(self, *, by: str) -> None:
        """Begin the drain as SIGTERM does; does nothing when it has begun."""
        self._process.drain("admin", by=by)

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
