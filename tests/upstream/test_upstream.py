"""The order of one round, how long a dial waits for whom, and what is said of those that were missed."""

from __future__ import annotations

import errno

import pytest
from structlog.testing import capture_logs

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from tests.support.dials import Caller
from tests.support.world import World

HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
ENDPOINTS = [Endpoint(Address(host, 80)) for host in HOSTS]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world without sockets."""
    return World(monkeypatch)


def hosts(world: World) -> list[str]:
    """Return who is being asked, in the order in which it began."""
    return [attempt.host for attempt in world.attempts if attempt.open]


def test_who_was_missed_comes_last(world: World) -> None:
    """Endpoints that stand back come after the others, and in their order where all do."""
    upstream = world.upstream(ENDPOINTS)
    one, two, three = upstream.endpoints
    upstream.missed(one, "refused", silent=False)
    assert upstream.round() == ([two, three, one], None)
    upstream.missed(three, "refused", silent=False)
    assert upstream.round() == ([two, one, three], None)
    upstream.missed(two, "refused", silent=False)
    assert upstream.round() == ([one, two, three], None)


def test_one_round_tries_one_that_stood_back(world: World) -> None:
    """When the time of several is over each round has one of them in its place, and no two rounds have the same."""
    upstream = world.upstream(ENDPOINTS)
    one, two, three = upstream.endpoints
    for endpoint in (one, two):
        upstream.missed(endpoint, "refused", silent=False)
    world.clock.advance(1.0)
    assert upstream.round() == ([one, three, two], one)
    assert upstream.round() == ([two, three, one], two)
    assert upstream.round() == ([three, one, two], None)
    upstream.reached(one)
    assert upstream.round() == ([one, three, two], None)


@pytest.mark.parametrize(("count", "eject"), [(1, 1.0), (3, 0.0)])
def test_a_single_endpoint_and_an_eject_of_zero_are_unaffected(world: World, count: int, eject: float) -> None:
    """Where there is no other, or it is off, nobody is ejected, and nothing is said of it."""
    upstream = world.upstream(ENDPOINTS[:count], eject=eject)
    with capture_logs() as logs:
        upstream.missed(upstream.endpoints[0], "silent", silent=True)
    assert "endpoint.ejected" not in {entry["event"] for entry in logs}
    assert not upstream.endpoints[0].ejection.ejected
    assert upstream.round() == (list(upstream.endpoints), None)


def test_an_ejection_is_told_when_it_begins(world: World) -> None:
    """It is said once who is ejected, why and for how long, and again only after it was reached."""
    upstream = world.upstream(ENDPOINTS)
    with capture_logs() as logs:
        for _ in range(3):
            upstream.missed(upstream.endpoints[1], "nobody there", silent=False)
            world.clock.advance(2.0)
        upstream.reached(upstream.endpoints[1])
        upstream.missed(upstream.endpoints[1], "nobody there", silent=False)
    ejected = [entry for entry in logs if entry["event"] == "endpoint.ejected"]
    assert ejected == 2 * [
        {
            "event": "endpoint.ejected", "log_level": "warning", "route": "test:1", "endpoint": "192.0.2.2:80",
            "seconds": 1.0, "reason": "nobody there",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("left", "others", "rounds", "patience"),
    [
        (10.0, 2, 1, 2.0),
        (10.0, 2, 2, 10 / 3),
        (10.0, 1, 2, 4.0),
        (3.0, 2, 1, 1.0),
        (10.0, 0, 1, 2.0),
        (100.0, 0, 3, 8.0),
        (3600.0, 0, 5000, 2048.0),
    ],
)
def test_a_silent_endpoint_has_two_seconds_and_more_in_later_rounds(
    world: World, left: float, others: int, rounds: int, patience: float
) -> None:
    """Two seconds, twice as long in each further round, however many those are, and never more than a fair share."""
    assert world.upstream(ENDPOINTS).patience(left, others, rounds) == pytest.approx(patience)


def test_a_single_endpoint_has_all_the_time(world: World) -> None:
    """Where there is nobody else to try, silence is waited out."""
    assert world.upstream(ENDPOINTS[:1]).patience(10.0, 0, 1) == 10.0


def test_a_black_hole_costs_the_first_client_two_seconds_and_the_next_ones_nothing(world: World) -> None:
    """The first client waits for a silent endpoint, and goes on; those who come then are at the second at once."""
    upstream = world.upstream(ENDPOINTS[:2])
    first, second = Caller(), Caller()
    upstream.dial(first)
    world.clock.advance(2.0 - TICK)
    assert hosts(world) == [HOSTS[0]]
    world.clock.advance(2 * TICK)
    assert hosts(world) == [HOSTS[1]]
    world.attempts[-1].succeed()
    assert (first.address, upstream.endpoints[0].ejection.ejected) == (HOSTS[1], True)
    upstream.dial(second)
    assert hosts(world) == [HOSTS[1]]


def test_of_several_rounds_each_waits_twice_as_long(world: World) -> None:
    """Where all are silent, the first round takes two seconds each and the second four."""
    upstream = world.upstream(ENDPOINTS[:2], timeout=30.0, eject=0.0)
    upstream.dial(Caller())
    begun: list[float] = []
    for _ in range(400):
        while len(begun) < len(world.attempts):
            begun.append(world.clock.time() - 1000.0)
        world.clock.advance(TICK)
    assert [round(after) for after in begun[:4]] == [0, 2, 4, 8]


def test_little_time_left_is_no_silence(world: World) -> None:
    """An endpoint that had a few milliseconds before the deadline is not ejected for that, nor is it the reason."""
    upstream = world.upstream(ENDPOINTS[:2], timeout=0.1)
    world.outcomes = dict.fromkeys(HOSTS, errno.ECONNREFUSED)
    caller = Caller()
    upstream.dial(caller)
    for endpoint in upstream.endpoints:
        upstream.reached(endpoint)
    world.outcomes.clear()
    world.clock.advance(0.1 + TICK)
    assert len(world.attempts) > 2
    assert caller.end == "connect_refused"
    assert not any(endpoint.ejection.ejected for endpoint in upstream.endpoints)


def test_who_cancels_has_nobody_ejected(world: World) -> None:
    """A client that goes while an endpoint has not answered yet says nothing about that endpoint."""
    upstream = world.upstream(ENDPOINTS[:2])
    dial = upstream.dial(Caller())
    world.clock.advance(1.9)
    dial.cancel()
    assert not upstream.endpoints[0].ejection.ejected


@pytest.mark.parametrize(("error_number", "ejected"), [(errno.EADDRNOTAVAIL, False), (errno.ECONNREFUSED, True)])
def test_a_shortage_of_ours_ejects_nobody(world: World, error_number: int, ejected: bool) -> None:  # noqa: FBT001 - a parameter
    """A dial without a local port passes its endpoints over and has another round, and nobody stands back for it."""
    upstream = world.upstream(ENDPOINTS[:2])
    world.outcomes = dict.fromkeys(HOSTS, error_number)
    caller = Caller()
    upstream.dial(caller)
    assert (caller.answers, len(upstream.queue)) == (0, 1)
    assert [endpoint.ejection.ejected for endpoint in upstream.endpoints] == [ejected] * 2
    world.outcomes.clear()
    world.clock.advance(1.0)
    world.attempts[-1].succeed()
    assert caller.address == HOSTS[0]
