"""Reports of several workers, added up; and the history that is made of reports."""

from __future__ import annotations

import pytest

from ambassador.admin.history import History
from ambassador.admin.prometheus import exposition
from ambassador.metrics import End
from ambassador.workers.merge import merge, retired
from tests.support.reports import endpoint, report


def test_what_is_counted_is_added_up() -> None:
    """Numbers of two workers are summed, whatever is the same in both is kept."""
    merged = merge([report(up=1, endpoints=[endpoint(early_resets=2)]), report(up=10)])

    assert (merged["workers"], merged["limit"], merged["live"], merged["dropped_lines"]) == (2, 20, 4, 2)
    assert merged["pipes_lent"] == 6
    (route,) = merged["routes"]
    assert (route["active"], route["bytes_up"], route["bytes_down"], route["accept_paused"]) == (4, 11, 10, 2)
    assert route["ends"] == {**dict.fromkeys(map(str, End), 0), "closed": 6}
    assert route["endpoints"][0]["early_resets"] == 2
    assert (sum(route["connect"]["counts"]), route["connect"]["sum"]) == (2, 0.004)
    assert (route["name"], route["listen"], route["source"]) == ("r:1", ["*:1"], "R_PORT_1_TCP")


def test_turns_are_added_up_and_the_longest_is_that_of_any() -> None:
    """The turns of all workers are in one histogram; the longest is of those that live, the counts of the dead stay."""
    longer = {**report(), "longest_turn": 0.75}
    merged = merge([report(), longer])  # type: ignore[list-item]  # a report with one other value
    assert (merged["turns"]["counts"], merged["turns"]["sum"], merged["longest_turn"]) == ([14, 2], 1.0, 0.75)
    gone = retired(longer)  # type: ignore[arg-type]  # as above
    assert (gone["turns"]["counts"], gone["longest_turn"]) == ([7, 1], 0.0)


def test_turns_are_a_histogram_without_labels() -> None:
    """Prometheus sees how many turns took at most how much, of the whole process."""
    text = exposition(report(), ready=True).decode()
    for line in ('_bucket{le="0.001"} 7.0', '_bucket{le="+Inf"} 8.0', "_sum 0.5", "_count 8.0"):
        assert f"ambassador_turn_seconds{line}\n" in text


def test_one_report_is_its_own_sum() -> None:
    """Merging the report of a single worker changes nothing."""
    assert merge([report()]) == report()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("serving", "serving"), "serving"),
        (("serving", "starting"), "starting"),
        (("draining", "starting"), "draining"),
        (("serving", "stopped"), "stopped"),
    ],
)
def test_the_state_is_that_of_whoever_serves_least(states: tuple[str, str], expected: str) -> None:
    """All workers are as far as the one that is furthest from serving, in whatever order they are asked."""
    assert merge([report(state=state) for state in states])["state"] == expected
    assert merge([report(state=state) for state in reversed(states)])["state"] == expected


def test_no_limit_of_one_is_no_limit_of_all() -> None:
    """A worker without a limit makes the whole have none."""
    assert merge([report(limit=None), report()])["limit"] is None


def test_labels_are_escaped() -> None:
    """A name with a quote, a backslash and a line feed is written so that the exposition stays readable."""
    text = exposition(report(name='a"b\\c\nd'), ready=True).decode()
    assert 'ambassador_connections_active{route="a\\"b\\\\c\\nd"} 2.0' in text


def test_rates_are_of_the_time_between_two_looks() -> None:
    """A rate is what was counted between two looks, by the seconds between them, and never below zero."""
    history = History()
    history.add(report(up=1000), 10.0)
    history.add(report(up=5000), 12.0)
    history.add(report(up=0), 14.0)  # a worker was replaced
    rates = history.rates(report())
    assert rates["bytes_up"] == [2000, 0]
    assert rates["live"] == [2, 2]
    assert rates["ends"] == {"closed": 3}


def test_history_is_bounded_and_forgets_the_oldest() -> None:
    """After hours only the last minutes are held, and only their endings are recent."""
    history = History()
    for second in range(0, 10_000, 2):
        history.add(report(up=second), float(second))
    rates = history.rates(report())
    assert len(rates["bytes_up"]) == 150
    assert rates["ends"] == {}
