"""What `/status` and `/connections` answer, as JSON; docs/operations.md tells what each field means."""

from __future__ import annotations

from typing import TypedDict

from ambassador.server.report import ConnectionReport, Report


class Totals(TypedDict):
    """What all routes have counted, added up. Of *connections*, it is those that have ended."""

    connections: int
    bytes_up: int
    bytes_down: int
    accept_paused: int
    ends: dict[str, int]


class Rates(TypedDict):
    """The last minutes: a value for each interval, oldest first. *ends* has only those that happened."""

    interval: float
    seconds: float
    live: list[int]
    bytes_up: list[float]
    bytes_down: list[float]
    ended: list[float]
    troubled: list[float]
    ends: dict[str, int]


class StatusReport(Report):
    """The answer of `/status`."""

    not_ready: str | None
    landlock: int | None
    totals: Totals
    rates: Rates


class ConnectionsReport(TypedDict):
    """The answer of `/connections`. *total* also counts those that `?limit=` leaves out."""

    total: int
    connections: list[ConnectionReport]


def status(report: Report, *, not_ready: str | None, landlock: int | None, rates: Rates) -> StatusReport:
    """Complete a report with totals over all routes, and with what it does not know."""
    return {**report, "not_ready": not_ready, "landlock": landlock, "totals": _totals(report), "rates": rates}


def _totals(report: Report) -> Totals:
    routes = report["routes"]
    ends = {end: sum(route["ends"][end] for route in routes) for end in (routes[0]["ends"] if routes else ())}
    return {
        "connections": sum(ends.values()),
        "bytes_up": sum(route["bytes_up"] for route in routes),
        "bytes_down": sum(route["bytes_down"] for route in routes),
        "accept_paused": sum(route["accept_paused"] for route in routes),
        "ends": ends,
    }
