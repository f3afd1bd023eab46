"""Who is live, who waits for room, and whose peer is dead."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from ambassador.metrics import End
from ambassador.net import tcp
from ambassador.net.tcp import Silence
from ambassador.server.connections import DEAD_AFTER, Connections


class Leg:
    """A leg of which only the silence matters."""

    def __init__(self, sock: str) -> None:
        self.socket = sock
        self.silent_since: float | None = None


class Relay:
    """A relay that notes which leg it lost."""

    def __init__(self) -> None:
        self.client, self.upstream = Leg("client"), Leg("upstream")
        self.over = False
        self.lost: list[tuple[str, int]] = []

    def peer_gone(self, leg: Leg, error: int) -> None:
        """Note it, and be over."""
        self.lost.append((leg.socket, error))
        self.over = True


class Route:
    """A route that keeps its connections alive."""

    keepalive = 60.0


class Connection:
    """A connection as the sweep sees it."""

    route = Route

    def __init__(self, number: int, relay: Relay | None = None) -> None:
        self.id = number
        self.relay = relay
        self.kept_alive = False
        self.cuts: list[str] = []

    def cut(self, end: str) -> None:
        """Note it."""
        self.cuts.append(end)


class World:
    """A clock, and what TCP_INFO says of each socket: when it was heard last, and whether it owes an answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.heard = {"client": self.now, "upstream": self.now}
        self.owes = {"client": False, "upstream": False}
        monkeypatch.setattr(
            tcp,
            "silence",
            lambda sock: Silence(unanswered=self.owes[sock], heard=self.now - self.heard[sock]),
        )
        self.kept_alive: list[tuple[str, float]] = []
        monkeypatch.setattr(tcp, "bound_backoff", lambda _sock: None)
        monkeypatch.setattr(tcp, "set_keepalive", lambda sock, idle: self.kept_alive.append((sock, idle)))
        self.relay = Relay()
        self.connections = Connections()
        self.add(Connection(7, self.relay))

    def add(self, connection: Any) -> None:
        """Make a connection live."""
        self.connections.add(connection)

    def pass_seconds(self, seconds: int) -> None:
        """Sweep once a second, as the process does."""
        for _ in range(seconds):
            self.now += 1
            self.connections.sweep(self.now)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world with one connection."""
    return World(monkeypatch)


@pytest.mark.parametrize("leg", ["client", "upstream"])
def test_a_peer_that_owes_an_answer_and_is_silent_is_dead_within_two_minutes(world: World, leg: str) -> None:
    """A leg with something unanswered and nothing heard is given up after a minute, within two."""
    world.owes[leg] = True
    world.pass_seconds(int(DEAD_AFTER) - 1)
    assert world.relay.lost == []
    world.pass_seconds(120 - int(DEAD_AFTER))
    assert world.relay.lost == [(leg, errno.ETIMEDOUT)]


def test_an_outage_of_half_a_minute_is_survived(world: World) -> None:
    """Data in flight and 30 s of silence, again and again with a word between, end nothing."""
    for _ in range(20):
        world.owes["upstream"] = True
        world.pass_seconds(30)
        world.owes["upstream"] = False
        world.heard["upstream"] = world.now
        world.pass_seconds(1)
    assert world.relay.lost == []


def test_a_word_of_the_peer_begins_the_count_anew(world: World) -> None:
    """A peer that still owes an answer but was heard meanwhile is alive, as a reader that stalls is."""
    world.owes["client"] = True
    for _ in range(40):
        world.pass_seconds(20)
        world.heard["client"] = world.now
    assert world.relay.lost == []


def test_a_quiet_connection_is_no_dead_one(world: World) -> None:
    """A connection on which nobody says anything for an hour, and nobody owes anything, is left alone."""
    world.pass_seconds(3600)
    assert world.relay.lost == []


def test_long_silence_before_a_question_does_not_count(world: World) -> None:
    """A peer that had nothing to say for an hour has a full minute from when it is first asked."""
    world.pass_seconds(3600)
    world.owes["upstream"] = True
    world.pass_seconds(int(DEAD_AFTER) - 1)
    assert world.relay.lost == []


def test_every_connection_is_looked_at_and_kept_alive(world: World) -> None:
    """Whatever their numbers, all of them are looked at within ten sweeps, dialling ones without a relay too."""
    world.add(Connection(8))
    # By ones as a single process numbers them, and in strides of ten as one worker of ten does.
    others = [Connection(number, Relay()) for number in (*range(100, 140), *range(1000, 2000, 10))]
    for other in others:
        world.add(other)
    world.owes = {"client": True, "upstream": False}
    world.pass_seconds(10)
    assert all(other.relay is not None and other.relay.client.silent_since is not None for other in others)
    # Once each, towards the upstream, and not yet where there is none.
    assert world.kept_alive == [("upstream", 60.0)] * (1 + len(others))


def test_those_who_wait_for_room_are_told_once() -> None:
    """A listener that waits for room is called when a connection ends, and not again unless it asks again."""
    connections = Connections(limit=1)
    first: Any = Connection(1)
    calls: list[int] = []
    connections.add(first)
    assert connections.full()
    connections.on_room.append(lambda: calls.append(1))
    connections.remove(first)
    assert not connections.full()
    connections.add(first)
    connections.remove(first)
    assert calls == [1]


def test_the_last_one_to_go_is_told() -> None:
    """Whoever waits for the end of all is called when the last is gone."""
    connections = Connections()
    one, two = Connection(1), Connection(2)
    ends: list[int] = []
    connections.add(one)  # type: ignore[arg-type]  # a fake has only what is asked
    connections.add(two)  # type: ignore[arg-type]  # a fake has only what is asked
    connections.on_empty = lambda: ends.append(1)
    connections.remove(one)  # type: ignore[arg-type]  # a fake has only what is asked
    assert ends == []
    connections.remove(two)  # type: ignore[arg-type]  # a fake has only what is asked
    assert ends == [1]
    assert connections.cut_all(End.DRAINED) == 0


def test_a_cut_reaches_every_connection() -> None:
    """Cutting all tells each connection why, and counts them."""
    connections = Connections()
    all_of_them: list[Any] = [Connection(number) for number in range(5)]
    for connection in all_of_them:
        connections.add(connection)
    assert connections.cut_all(End.DRAINED) == 5
    assert all(connection.cuts == ["drained"] for connection in all_of_them)


def test_those_who_wait_for_room_take_turns() -> None:
    """Of two who wait for room at once, and wait again when they have it, neither is always the first."""
    connections = Connections(limit=1)
    first: list[str] = []

    def wait(name: str) -> None:
        if not connections.full():
            first.append(name)
            connections.add(Connection(len(first)))  # type: ignore[arg-type]  # a fake has only what is asked
        connections.on_room.append(lambda: wait(name))

    wait("a")
    wait("b")
    for _ in range(5):
        connections.remove(connections.live[len(first)])
    assert first == ["a", "b", "a", "b", "a", "b"]
