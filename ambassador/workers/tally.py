"""What all workers, the dead included, have counted, and what their dials tell of the endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.workers.merge import merge, retired
from ambassador.workers.upstreams import Upstreams

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ambassador.config.routes import Route
    from ambassador.server.report import Report
    from ambassador.workers.upstreams import Dials


class Tally:
    """Keep the last report of each worker that lives, and the sum of those of the dead."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._live: dict[int, Report] = {}
        self._past: Report | None = None
        self._upstreams = Upstreams(routes)

    def learn(self, worker: int, report: Report, dials: Dials) -> None:
        """Take the report of a worker, and when it dialled each endpoint last."""
        self._upstreams.learn(self._live.get(worker), report, dials)
        self._live[worker] = report

    def bury(self, worker: int) -> tuple[int, int]:
        """Keep what a dead worker counted; return how many connections died with it, and how many it had in all."""
        report = self._live.pop(worker, None)
        if report is None:
            return 0, 0
        counted = retired(report)
        self._past = merge([counted, self._past]) if self._past is not None else counted
        lost = sum(route["active"] for route in report["routes"])
        return lost, sum(sum(route["ends"].values()) for route in counted["routes"])

    def total(self) -> Report:
        """Add everything up. There is at least one report once a worker has been ready."""
        reports: Sequence[Report] = [*self._live.values(), *([self._past] if self._past is not None else [])]
        return self._upstreams.complete(merge(reports))
