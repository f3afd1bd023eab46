"""Whose time is up: idle, half-closed, and for a whole life."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ambassador.net import tcp
from ambassador.server.timeouts import Timeouts, cut_late, pause


@dataclass
class Way:
    """A direction as timeouts see it."""

    moved: int = 0
    over: bool = False


@dataclass
class Leg:
    """A leg, with what its kernel has not sent yet."""

    socket: Leg | None = None
    unsent: int = 0

    def __post_init__(self) -> None:
        self.socket = self


@dataclass
class Relay:
    """A relay as timeouts see it."""

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    client: Leg = field(default_factory=Leg)
    upstream: Leg = field(default_factory=Leg)
    over: bool = False


@dataclass
class Connection:
    """A connection as timeouts see it."""

    id: int = 1
    started: float = 0.0
    quiet_since: float = 0.0
    progress: tuple[int, ...] = ()
    relay: Relay | None = field(default_factory=Relay)
    route: Any = None
    cuts: list[str] = field(default_factory=list)

    def cut(self, end: str) -> None:
        """Note it."""
        self.cuts.append(end)


@pytest.fixture(autouse=True)
def fake_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the legs say what is unsent."""
    monkeypatch.setattr(tcp, "unacknowledged", lambda leg: leg.unsent)


def look(timeouts: Timeouts, connection: Any, *, start: int, end: int) -> list[str]:
    """Look once a second from *start* to *end*; return how the connection was cut, if it was."""
    connection.route = SimpleNamespace(timeouts=timeouts)
    for now in range(start, end + 1):
        cut_late([connection], float(now))
        if connection.cuts:
            break
    return list(connection.cuts)


def test_without_timeouts_there_is_nothing_to_look_for() -> None:
    """With all of them off no look is due, and a year of silence ends nothing."""
    timeouts = Timeouts(idle=0, half_close=0, lifetime=0)
    assert pause([0, 0, 0]) == 0
    assert look(timeouts, Connection(), start=31_000_000, end=31_000_000) == []


def test_an_idle_connection_is_cut_after_its_time_and_not_before() -> None:
    """Nothing moves for the time of the timeout: cut; a second earlier it is not."""
    timeouts = Timeouts(idle=10, half_close=0, lifetime=0)
    connection = Connection()
    assert look(timeouts, connection, start=0, end=9) == []
    assert look(timeouts, connection, start=10, end=11) == ["idle_timeout"]


@pytest.mark.parametrize("moves", ["up", "down", "queue"])
def test_progress_of_any_kind_begins_the_count_anew(moves: str) -> None:
    """Bytes either way, or bytes that a slow reader's kernel takes, keep a connection from being idle."""
    timeouts = Timeouts(idle=10, half_close=10, lifetime=0)
    connection = Connection()
    relay = connection.relay
    assert relay is not None
    relay.upstream.unsent = 10**6
    for start in range(0, 200, 9):
        assert look(timeouts, connection, start=start, end=start + 8) == []
        if moves == "queue":
            relay.upstream.unsent -= 1
        else:
            getattr(relay, moves).moved += 1


def test_only_a_half_closed_connection_has_the_half_close_timeout() -> None:
    """One that is open both ways, or over both ways and lingering, is not half-closed."""
    timeouts = Timeouts(idle=0, half_close=10, lifetime=0)
    connection = Connection()
    relay = connection.relay
    assert relay is not None
    assert look(timeouts, connection, start=0, end=60) == []
    relay.up.over = relay.down.over = True
    assert look(timeouts, connection, start=61, end=120) == []
    relay.down.over = False
    assert look(timeouts, connection, start=121, end=140) == ["half_close_timeout"]


def test_a_life_ends_also_while_dialling_and_not_all_at_once() -> None:
    """A connection lives its time and up to a tenth more, each another part of it, whatever it is doing."""
    timeouts = Timeouts(idle=0, half_close=0, lifetime=1000)
    lives = set()
    for number in range(50):
        connection = Connection(id=number, relay=None)
        assert look(timeouts, connection, start=990, end=1101) == ["max_lifetime"]
        busy = Connection(id=number, route=SimpleNamespace(timeouts=timeouts))
        now = 1000.0
        while not busy.cuts:
            cut_late([busy], now)  # type: ignore[list-item]  # a fake has only what is asked
            now += 1
        lives.add(now)
        assert 1000 <= now <= 1102
    assert len(lives) > 25


def test_a_timeout_is_looked_for_often_enough() -> None:
    """The pause between looks is a small part of the shortest timeout, at least 50 ms and at most a second."""
    assert pause([0, 0.1, 60]) == pytest.approx(0.05)
    assert pause([4, 0, 60]) == pytest.approx(0.5)
    assert pause([3600, 0, 0]) == pytest.approx(1.0)


def test_the_time_of_a_half_close_begins_with_it() -> None:
    """A connection that was quiet for long when one side ended its stream has all of HALF_CLOSE_TIMEOUT from there."""
    timeouts = Timeouts(idle=0, half_close=5, lifetime=0)
    connection = Connection()
    assert connection.relay is not None
    assert look(timeouts, connection, start=0, end=100) == []
    connection.relay.up.over = True
    assert look(timeouts, connection, start=101, end=105) == []
    assert look(timeouts, connection, start=106, end=107) == ["half_close_timeout"]
