"""A report in Prometheus' text format (metrics are named in the README and keep their names)."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from ambassador.server.report import Report

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """Write reports as metrics: the hot path only adds to plain numbers, which are read when somebody scrapes."""

    def __init__(self) -> None:
        self._collector = _Collector()
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)

    def write(self, report: Report, *, ready: bool) -> bytes:
        """Return the metrics of *report*."""
        self._collector.report = report
        self._collector.ready = ready
        return generate_latest(self._registry)


class _Collector(Collector):
    """Turn a report into metric families. The labels come from the configuration alone, so their number is bounded."""

    def __init__(self) -> None:
        self.report: Report = {}
        self.ready = False

    def describe(self) -> list[Metric]:
        """Return nothing: a registry would otherwise collect once when it is told of this."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield InfoMetricFamily("ambassador", "The running version.", value={"version": self.report["version"]})
        yield GaugeMetricFamily("ambassador_ready", "1 when every listener is bound and no drain began.", self.ready)
        yield from _connections(self.report["routes"])
        yield from _histograms(self.report["routes"])
        yield _upstreams(self.report["routes"])


def _connections(routes: list[Mapping[str, Any]]) -> Iterator[Metric]:
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


def _histograms(routes: list[Mapping[str, Any]]) -> Iterator[Metric]:
    for field, what in (
        ("connect", "Seconds from a client's admission to its connected upstream."),
        ("connection", "Seconds that connections lived."),
    ):
        family = HistogramMetricFamily(f"ambassador_{field}_seconds", what, labels=("route",))
        for route in routes:
            histogram = route[field]
            bounds = [*map(str, histogram["bounds"]), "+Inf"]
            family.add_metric(
                (route["name"],), list(zip(bounds, accumulate(histogram["counts"]), strict=True)), histogram["sum"]
            )
        yield family


def _upstreams(routes: list[Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "ambassador_upstream_up",
        "0 when the last dial did not reach the endpoint, else 1, also before the first dial.",
        labels=("route", "endpoint"),
    )
    for route in routes:
        for endpoint in route["endpoints"]:
            family.add_metric((route["name"], endpoint["name"]), endpoint["up"] is not False)
    return family
