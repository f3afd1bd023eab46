"""What is counted."""

from __future__ import annotations

import pytest

from ambassador.metrics import End, Histogram, RouteCounters


def test_a_histogram_counts_each_value_once_in_the_first_bucket_that_holds_it() -> None:
    """A value on a bound belongs below it, as Prometheus has it; what is above all bounds is counted, too."""
    histogram = Histogram((1.0, 2.0, 5.0))
    for value in (0.5, 1.0, 1.5, 2.0, 5.0, 6.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1, 1]
    assert histogram.total == pytest.approx(16.0)


def test_routes_share_no_counters() -> None:
    """Every route counts for itself, and every ending of the access log from nought."""
    one, other = RouteCounters(), RouteCounters()
    one.ends[End.CLOSED] += 1
    one.connect.observe(0.1)
    assert set(other.ends) == set(End)
    assert sum(other.ends.values()) == sum(other.connect.counts) == 0
