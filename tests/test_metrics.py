"""What is counted."""

from __future__ import annotations

import pytest

from ambassador.metrics import End, Histogram, RouteCounters, Turns


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


def test_a_turn_lasts_from_its_beginning_to_that_of_the_next() -> None:
    """Whatever runs between two looks at the sockets counts for the turn, and what ran before the first does not."""
    now = [5.0]
    turns = Turns(lambda: now[0])
    now[0] = 7.0
    turns.start()
    for seconds in (0.0001, 0.0015, 0.3):
        now[0] += seconds
        turns.begins()
    counted = {bound: n for bound, n in zip(turns.histogram.bounds, turns.histogram.counts, strict=False) if n}
    assert counted == {0.0005: 1, 0.002: 1, 0.5: 1}
    assert turns.histogram.total == pytest.approx(0.3016)
    assert turns.longest() == pytest.approx(0.3)


def test_the_longest_turn_is_forgotten_after_a_minute() -> None:
    """The longest turn is that of the last minute, the second that has not ended included."""
    now = [0.0]
    turns = Turns(lambda: now[0])
    now[0] += 3.0
    turns.begins()
    for _ in range(60):
        assert turns.longest() == pytest.approx(3.0)
        now[0] += 0.001
        turns.second_passes()
    now[0] += 0.002
    turns.second_passes()
    assert turns.longest() == pytest.approx(0.002)
