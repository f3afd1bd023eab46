"""A report in Prometheus' text format (metrics are named in the README and keep their names)."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from ambassador.server.report import HistogramReport, Report, RouteReport

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HISTOGRAMS: Final[tuple[tuple[Literal["connect", "connection"], str], ...]] = (
    ("connect", "Seconds from a client's admission to its connected upstream."),
    ("connection", "Seconds that connections lived."),
)


def exposition(report: Report, *, ready: bool) -> bytes:
    """Write a report as metrics: the hot path only adds to plain numbers, which are read when somebody scrapes."""
    registry = CollectorRegistry()
    registry.register(_Collector(report, ready=ready))
    return generate_latest(registry)


class _Collector(Collector):
    """Turn a report into metric families. The labels come from the configuration alone, so their number is bounded."""

    def __init__(self, report: Report, *, ready: bool) -> None:
        self._report = report
        self._ready = ready

    def describe(self) -> list[Metric]:
        """Return nothing: a registry would otherwise collect once when it is told of this."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield InfoMetricFamily("ambassador", "The running version.", value={"version": self._report["version"]})
        yield GaugeMetricFamily("ambassador_ready", "1 when every listener is bound and no drain began.", self._ready)
        yield GaugeMetricFamily(
            "ambassador_pipes_lent", "Pipes that bulk streams are spliced by now.", self._report["pipes_lent"]
        )
        yield _turns(self._report)
        yield from _connections(self._report["routes"])
        yield from _histograms(self._report["routes"])
        yield _upstreams(self._report["routes"])


def _connections(routes: Sequence[RouteReport]) -> Iterator[Metric]:
    total = CounterMetricFamily("ambassador_connections", "Connections that ended, by how.", labels=("route", "end"))
    active = GaugeMetricFamily("ambassador_connections_active", "Connections that live now.", labels=("route",))
    moved = CounterMetricFamily(
        "ambassador_bytes", "Bytes relayed, live connections included.", labels=("route", "direction")
    )
    paused = CounterMetricFamily(
        "ambassador_accept_paused", "How often clients had to wait in the accept queue.", labels=("route",)
    )
    for route in routes:
        name = route["name"]
        for end, count in route["ends"].items():
            total.add_metric((name, end), count)
        active.add_metric((name,), route["active"])
        moved.add_metric((name, "up"), route["bytes_up"])
        moved.add_metric((name, "down"), route["bytes_down"])
        paused.add_metric((name,), route["accept_paused"])
    yield from (total, active, moved, paused)


def _histograms(routes: Sequence[RouteReport]) -> Iterator[Metric]:
    for field, what in _HISTOGRAMS:
        family = HistogramMetricFamily(f"ambassador_{field}_seconds", what, labels=("route",))
        for route in routes:
            family.add_metric((route["name"],), _buckets(route[field]), route[field]["sum"])
        yield family


def _turns(report: Report) -> Metric:
    what = "CPU seconds that the event loop took from one look at its sockets to the next."
    histogram = report["turns"]
    return HistogramMetricFamily("ambassador_turn_seconds", what, _buckets(histogram), histogram["sum"])


def _buckets(histogram: HistogramReport) -> list[tuple[str, int]]:
    bounds = [*map(str, histogram["bounds"]), "+Inf"]
    return list(zip(bounds, accumulate(histogram["counts"]), strict=True))


def _upstreams(routes: Sequence[RouteReport]) -> Metric:
    family = GaugeMetricFamily(
        "ambassador_upstream_up",
        "0 when the last dial did not reach the endpoint, else 1, also before the first dial.",
        labels=("route", "endpoint"),
    )
    for route in routes:
        for endpoint in route["endpoints"]:
            family.add_metric((route["name"], endpoint["name"]), endpoint["up"] is not False)
    return family
