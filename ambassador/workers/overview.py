"""What the admin server sees of an ambassador with workers: all of them as one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ambassador.admin.answers import ConnectionsReport
    from ambassador.server.report import Report
    from ambassador.workers.pool import Pool


class PoolOverview:
    """All workers of an ambassador, seen from outside, as `ambassador.admin.overview.Overview` describes it."""

    def __init__(self, pool: Pool) -> None:
        self._fleet = pool

    async def report(self) -> Report:
        """Add up what the workers report now; of one that does not answer, what it reported last."""
        # Not the answers are counted but what the pool knows then: a worker may die in the meantime.
        await asyncio.gather(*(handle.ask("report") for handle in self._fleet.handles.values()))
        return self._fleet.report()

    async def connections(self, limit: int, route: str | None = None) -> ConnectionsReport:
        """Return the oldest live connections of all workers; those of one that does not answer are left out.

        Each tells its own *limit* oldest: the oldest of all are among these.
        """
        handles = self._fleet.handles.values()
        asked = (handle.ask("connections", limit=limit, route=route) for handle in handles)
        answers = [cast("ConnectionsReport", answer) for answer in await asyncio.gather(*asked) if answer is not None]
        found = [entry for answer in answers for entry in answer["connections"]]
        found.sort(key=lambda entry: -entry["seconds"])
        return {"total": sum(answer["total"] for answer in answers), "connections": found[:limit]}

    async def kill(self, number: int) -> bool | None:
        """Reset a connection; tell whether there was one of this number, None when its worker does not say."""
        handle = self._fleet.handles.get(number % self._fleet.size)
        if handle is None:
            return False
        found = cast("bool | None", await handle.ask("kill", connection=number))
        return False if found is None and handle.gone else found

    def drain(self, *, by: str) -> None:
        """Begin the drain as SIGTERM does; does nothing when it has begun."""
        self._fleet.drain("admin", by=by)

    def not_ready(self) -> str | None:
        """Say why the ambassador should not be sent traffic; None when it should."""
        return self._fleet.not_ready()
