"""What is known of an endpoint, and how little is said about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from ambassador.upstream.health import EndpointHealth

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    Event = MutableMapping[str, Any]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time that was set."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that the module under test reads."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def said() -> Iterator[list[Event]]:
    """Give what has been logged."""
    with capture_logs() as events:
        yield events


def names(said: list[Event]) -> list[str]:
    """Return the events' names, without what they have in common."""
    return [event["event"].removeprefix("route.upstream_") for event in said]


def test_down_and_up_are_said_once_each(clock: Clock, said: list[Event]) -> None:
    """The first failure says why, the first success after it says how long it was down and how often it failed."""
    health = EndpointHealth("redis:6379", "10.0.0.7:6379")
    health.reached()
    clock.now += 10
    for _ in range(3):
        health.missed("10.0.0.7:6379: Connection refused")
    clock.now += 0.5
    health.reached()
    health.reached()

    common = {"route": "redis:6379", "endpoint": "10.0.0.7:6379"}
    assert said == [
        {
            **common,
            "event": "route.upstream_down",
            "reason": "Connection refused",
            "log_level": "warning",
        },
        {**common, "event": "route.upstream_up", "down_seconds": 0.5, "failures": 3, "log_level": "info"},
    ]
    assert (health.up, health.failures, health.error) == (True, 0, None)


def test_a_thousand_failures_a_second_are_few_lines(clock: Clock, said: list[Event]) -> None:
    """An endpoint that stays down for ten minutes is spoken of at growing distances, with how often it failed."""
    health = EndpointHealth("r", "e")
    for _ in range(600 * 100):
        health.missed("refused")
        clock.now += 0.01

    assert names(said)[:2] == ["down", "still_down"]
    assert len(said) < 20
    assert said[-1]["failures"] > 50_000
    assert said[-1]["down_seconds"] > 500


def test_flapping_is_said_at_most_once_a_second(clock: Clock, said: list[Event]) -> None:
    """An endpoint that fails and answers in turns is called down at most once a second, and up only if it was."""
    health = EndpointHealth("r", "e")
    for _ in range(1000):
        health.missed("refused")
        health.reached()
        clock.now += 0.01

    assert names(said) == ["down", "up"] * (len(said) // 2)
    assert len(said) <= 2 * 11


def test_a_real_failure_after_a_flap_is_said_late_not_never(clock: Clock, said: list[Event]) -> None:
    """What goes down again too soon to be said is said as soon as it may be, if it is still down then."""
    health = EndpointHealth("r", "e")
    health.missed("refused")
    health.reached()
    clock.now += 0.1
    health.missed("refused")
    assert names(said) == ["down", "up"]
    clock.now += 1
    health.missed("refused")
    assert names(said) == ["down", "up", "down"]


def test_moving_is_said_when_no_address_stayed(clock: Clock, said: list[Event]) -> None:
    """A name that resolves elsewhere is said with where it was and is; one that gained an address is not."""
    health = EndpointHealth("r", "e")
    health.resolved(["10.0.0.1"])
    health.resolved(["10.0.0.1", "10.0.0.2"])
    assert said == []
    health.resolved(["10.0.0.9"])
    assert said == [
        {
            "event": "route.upstream_moved", "route": "r", "endpoint": "e", "was": "10.0.0.1,10.0.0.2",
            "now": "10.0.0.9", "log_level": "info",
        }
    ]  # fmt: skip
    for number in range(100):
        health.resolved([f"10.0.1.{number}"])
    assert len(said) == 1
