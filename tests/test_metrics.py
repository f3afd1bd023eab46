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


class Times:
    """CPU and wall time, as the test has them pass; and turns by these."""

    def __init__(self) -> None:
        self.cpu = self.wall = 5.0
        self.turns = Turns(cpu=lambda: self.cpu, wall=lambda: self.wall)

    def turn(self, cpu: float, waited: float = 0.0) -> None:
        """Work for so long, wait for so long, and begin another turn."""
        self.cpu += cpu
        self.wall += cpu + waited
        self.turns.begins()

    def counted(self) -> dict[float, int]:
        """Return how many turns are in each bucket that has any, by its bound."""
        histogram = self.turns.histogram
        return {bound: n for bound, n in zip((*histogram.bounds, 99.0), histogram.counts, strict=True) if n}


def test_a_turn_lasts_from_its_beginning_to_that_of_the_next() -> None:
    """Whatever runs between two looks at the sockets counts for the turn; waiting, and what was before, does not."""
    times = Times()
    times.cpu += 3.0
    times.turns.start()
    times.turn(0.0001, waited=1.0)
    times.turn(0.0015)
    times.turn(0.3, waited=0.2)
    times.turn(2.0)
    assert times.counted() == {0.0005: 1, 0.002: 1, 0.5: 1, 99.0: 1}
    assert times.turns.histogram.total == pytest.approx(2.3016)
    assert times.turns.longest() == pytest.approx(2.0)


def test_short_turns_are_counted_together_and_hide_no_long_one() -> None:
    """However many short turns come before a long one, each is counted, and the long one for what it took itself."""
    times = Times()
    for _ in range(100):
        times.turn(0.0002)
    assert times.counted() == {0.0005: 96}
    times.turn(0.004)
    assert times.counted() == {0.0005: 100, 0.005: 1}
    assert times.turns.longest() == pytest.approx(0.004)
    assert times.turns.histogram.total == pytest.approx(0.024)


def test_the_longest_turn_is_forgotten_after_a_minute() -> None:
    """The longest turn is that of the last minute, the second that has not ended included."""
    times = Times()
    times.turn(3.0)
    for _ in range(60):
        assert times.turns.longest() == pytest.approx(3.0)
        times.turn(0.001)
        times.turns.second_passes()
    times.turn(0.002)
    times.turns.second_passes()
    assert times.turns.longest() == pytest.approx(0.002)
