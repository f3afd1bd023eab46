"""The last minutes in numbers, so that a page that is opened late shows what has just happened."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ambassador.errors import described
from ambassador.metrics import troubled

if TYPE_CHECKING:
    from ambassador.admin.answers import Rates
    from ambassador.admin.overview import Overview
    from ambassador.server.report import Report

log = structlog.get_logger()

# Looking costs about 2 ms with ten thousand connections: a thousandth of the time.
INTERVAL = 2.0
_MINUTES = 5
_SAMPLES = int(_MINUTES * 60 / INTERVAL)


class _Totals(NamedTuple):
    at: float
    live: int
    up: int
    down: int
    ends: Counter[str]


class History:
    """Totals at regular times. Memory is bounded by `_SAMPLES`."""

    def __init__(self) -> None:
        self._totals: deque[_Totals] = deque(maxlen=_SAMPLES + 1)

    async def keep(self, overview: Overview) -> None:
        """Look at *overview* again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self.add(await overview.report(), loop.time())
            except Exception as error:  # noqa: BLE001 - one look is lost, the history goes on
                log.error("admin.failed", path="history", error=described(error))  # noqa: TRY400 - one line
            await asyncio.sleep(INTERVAL)

    def add(self, report: Report, now: float) -> None:
        """Take the totals of a report that was made at *now*, in seconds of any clock."""
        up = sum(route["bytes_up"] for route in report["routes"])
        down = sum(route["bytes_down"] for route in report["routes"])
        self._totals.append(_Totals(now, report["live"], up, down, _ends(report)))

    def rates(self, report: Report) -> Rates:
        """Return what happened a second, from one look to the next, oldest first, and all endings up to *report*.

        A worker that was replaced takes its counters with it: a rate is never below zero.
        """
        pairs = list(zip(list(self._totals)[:-1], list(self._totals)[1:], strict=True))
        # As long as nothing was forgotten, all that ever happened is recent.
        forgotten = self._totals[0].ends if len(self._totals) > _SAMPLES else Counter[str]()
        return {
            "interval": INTERVAL,
            "seconds": min(report["uptime"], _SAMPLES * INTERVAL),
            "live": [new.live for _, new in pairs],
            "bytes_up": [_rate(old.up, new.up, new.at - old.at) for old, new in pairs],
            "bytes_down": [_rate(old.down, new.down, new.at - old.at) for old, new in pairs],
            "ended": [
                _rate(sum(old.ends.values()), sum(new.ends.values()), new.at - old.at, digits=1) for old, new in pairs
            ],
            "troubled": [
                _rate(troubled(old.ends), troubled(new.ends), new.at - old.at, digits=1) for old, new in pairs
            ],
            "ends": dict(_ends(report) - forgotten),
        }


def _ends(report: Report) -> Counter[str]:
    ends: Counter[str] = Counter()
    for route in report["routes"]:
        ends.update(route["ends"])
    return +ends


def _rate(old: int, new: int, seconds: float, *, digits: int | None = None) -> float:
    return round(max(0, new - old) / seconds, digits) if seconds else 0
