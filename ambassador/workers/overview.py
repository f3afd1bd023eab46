"""What the admin server sees of an ambassador with workers: all of them as one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ambassador.server.report import ConnectionReport, Report
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

    async def connections(self) -> list[ConnectionReport]:
        """Return the live connections of all workers, oldest first; those of one that does not answer are left out."""
        answers = await asyncio.gather(*(handle.ask("connections") for handle in self._fleet.handles.values()))
        lists = [cast("list[ConnectionReport]", answer) for answer in answers if answer is not None]
        found = [entry for entries in lists for entry in entries]
        return sorted(found, key=lambda entry: -entry["seconds"])

    async def kill(self, number: int) -> bool | None:
        """Reset a connection; tell whether there was one of this number, None when its worker does not say."""
        handle = self._fleet.handles.get(number % self._fleet.size)
        if handle is None:
            return False
        found = cast("bool | None", await handle.ask("kill", connection=number))
        return False if found is None and handle.gone else found

    def drain(self) -> None:
        """Begin the drain as SIGTERM does; does nothing when it has begun."""
        self._fleet.drain("admin")

    def not_ready(self) -> str | None:
        """Say why the ambassador should not be sent traffic; None when it should."""
        return self._fleet.not_ready()
