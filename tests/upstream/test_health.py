"""What is said of an upstream's endpoints, and how often."""

from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from ambassador.upstream.health import EndpointHealth


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Set a clock that the test moves."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_endpoint_that_goes_and_comes_is_told_once_each(clock: list[float]) -> None:
    """Down is said at the first failure, up at the first success after it, with how long it took and how often."""
    health = EndpointHealth("redis:6379", "10.0.0.7:6379")
    with capture_logs() as logs:
        health.reached()
        health.missed("Connection refused")
        clock[0] += 0.5
        health.missed("Connection refused")
        health.reached()
        health.reached()
    assert [entry["event"] for entry in logs] == ["route.upstream_down", "route.upstream_up"]
    assert logs[0]["reason"] == "Connection refused"
    assert (logs[1]["failures"], logs[1]["down_seconds"]) == (2, 0.5)
    assert (health.up, health.error, health.failures) == (True, None, 0)


def test_an_endpoint_that_stays_down_is_told_ever_more_seldom(clock: list[float]) -> None:
    """A thousand failures in an hour are a few dozen lines."""
    health = EndpointHealth("redis:6379", "10.0.0.7:6379")
    with capture_logs() as logs:
        for _ in range(1000):
            health.missed("Connection refused")
            clock[0] += 3.6
    assert logs[0]["event"] == "route.upstream_down"
    assert {entry["event"] for entry in logs[1:]} == {"route.upstream_still_down"}
    assert len(logs) < 100
    assert health.failures == 1000


def test_an_endpoint_that_flaps_is_told_once_a_second(clock: list[float]) -> None:
    """An endpoint that comes and goes a hundred times a second writes at most two lines a second."""
    health = EndpointHealth("redis:6379", "10.0.0.7:6379")
    with capture_logs() as logs:
        for _ in range(1000):
            health.missed("Connection refused")
            health.reached()
            clock[0] += 0.01
    assert len(logs) <= 2 * 11


def test_a_move_is_told_when_no_address_is_the_same(clock: list[float]) -> None:
    """A name whose addresses are all new has moved; one that gains, loses or reorders some has not."""
    health = EndpointHealth("redis:6379", "redis:6379")
    with capture_logs() as logs:
        health.resolved(["10.0.0.1"])
        health.resolved(["10.0.0.1", "10.0.0.2"])
        health.resolved(["10.0.0.2"])
        health.resolved(["10.0.0.3", "10.0.0.4"])
    (moved,) = logs
    assert moved["event"] == "route.upstream_moved"
    assert (moved["was"], moved["now"]) == ("10.0.0.2", "10.0.0.3,10.0.0.4")
