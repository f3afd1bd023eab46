"""The harness's arithmetic."""

from __future__ import annotations

import pytest

from bench.results import Results, Sample
from bench.summary import Spread, percentile, ratios, spread


def test_spread_is_median_and_extremes() -> None:
    """A summary is the middle value with the lowest and the highest, whatever the order."""
    assert spread([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)


def test_no_values_make_no_spread() -> None:
    """Nothing measured is not a zero."""
    assert spread([]) is None


def test_ratios_are_taken_run_by_run() -> None:
    """A slow run that strikes both relays leaves their ratio alone."""
    assert ratios({0: 1.0, 1: 10.0, 2: 1.0}, {0: 2.0, 1: 20.0, 2: 2.0}) == Spread(0.5, 0.5, 0.5)


def test_ratios_leave_out_what_has_no_counterpart() -> None:
    """A run that one relay missed, and one where the other cost nothing, are not compared."""
    assert ratios({0: 1.0, 1: 5.0, 2: 7.0}, {0: 2.0, 2: 0.0}) == Spread(0.5, 0.5, 0.5)


@pytest.mark.parametrize(("share", "value"), [(50, 50), (99, 99), (99.9, 100), (100, 100), (1, 1)])
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    """Of 1 to 100, a percentile is the value that so many per cent do not exceed."""
    assert percentile(list(range(100, 0, -1)), share) == value


def test_percentile_of_one_value_is_that_value() -> None:
    """A single round trip is its own p99.9."""
    assert percentile([7.0], 99.9) == 7.0


def test_results_keep_relays_and_shapes_apart() -> None:
    """A series has one relay's figures under one shape, by run."""
    samples = [
        Sample("bulk-up", "ours", 0, {"cpu": 1.0}),
        Sample("bulk-up", "theirs", 0, {"cpu": 4.0}),
        Sample("bulk-down", "ours", 0, {"cpu": 9.0}),
        Sample("bulk-up", "ours", 1, {"cpu": 2.0}),
    ]
    results = Results(samples)

    assert results.series("bulk-up", "ours", "cpu") == {0: 1.0, 1: 2.0}
    assert results.ratio("bulk-up", "cpu", ours="ours", theirs="theirs") == Spread(0.25, 0.25, 0.25)
