"""Dials whose client's stream has ended: a server that comes back is not met by a crowd that has left."""

from __future__ import annotations

import errno

import pytest

from ambassador.config.routes import Endpoint
from ambassador.metrics import End
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from tests.support.dials import Caller
from tests.support.world import PENDING, World

HOST = "192.0.2.1"


class Scene:
    """Clients of one upstream, which refuses at first."""

    def __init__(self, patch: pytest.MonkeyPatch, *hosts: str) -> None:
        self.world = World(patch)
        self.upstream = self.world.upstream([Endpoint(Address(host, 80)) for host in hosts])
        self.set_all(errno.ECONNREFUSED)

    def set_all(self, outcome: int) -> None:
        """Set what dials meet from now on."""
        self.world.outcomes = {endpoint.host: outcome for endpoint in self.upstream.endpoints}

    def come(self, *, ended: bool = False, silent: bool = False) -> Caller:
        """Have a client come, and perhaps end its stream, *silent* without a byte in it."""
        caller = Caller()
        caller.dial = self.upstream.dial(caller)
        if ended:
            caller.dial.client_ends(silent=silent)
        return caller

    def under_way(self, callers: list[Caller]) -> list[Caller]:
        """Return those of them that are being dialled for."""
        owners = [attempt.for_whom for attempt in self.world.attempts if attempt.open]
        return [caller for caller in callers if caller.dial in owners]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a scene of one endpoint."""
    return Scene(monkeypatch, HOST)


def test_they_come_last(scene: Scene) -> None:
    """As long as anybody rests whose stream has not ended, none of the others is dialled for."""
    ended = [scene.come(ended=True) for _ in range(4)]
    patient = [scene.come() for _ in range(4)]
    scene.set_all(PENDING)
    scene.wait(1.6)  # five pauses, of which each is twice as long as the one before
    order = [attempt.for_whom for attempt in scene.world.attempts if attempt.open]
    assert order[:4] == [caller.dial for caller in patient]
    assert scene.under_way(ended)


def test_two_at_a_time_are_dialled_for(scene: Scene) -> None:
    """Of a crowd that has perhaps left two are under way at once, also when the upstream is known to answer."""
    ended = [scene.come(ended=True) for _ in range(20)]
    scene.set_all(PENDING)
    for _ in range(10):
        scene.upstream.queue.answered()
        scene.wait(0.05)
        assert len(scene.under_way(ended)) == 2
        scene.world.open(shaking_hands=False)[0].succeed()


def test_those_that_said_nothing_are_dialled_for_one_by_one(scene: Scene) -> None:
    """Of a crowd that ended without a word, and has mostly left, one to three are dialled for when all is well."""
    silent = [scene.come(ended=True, silent=True) for _ in range(20)]
    scene.set_all(PENDING)
    for _ in range(110):
        scene.wait(0.01)
        for attempt in scene.world.open(shaking_hands=False):
            attempt.succeed()
    assert 1 <= sum(caller.address == HOST for caller in silent) <= 3


def test_they_wait_for_two_seconds_at_most(scene: Scene) -> None:
    """A client whose stream has ended is reset two seconds later, one that has not at the timeout."""
    patient, ended = scene.come(), scene.come()
    scene.wait(3.0)
    assert ended.dial is not None
    ended.dial.client_ends()
    scene.wait(2.0 - TICK)
    assert not ended.answers
    scene.wait(2 * TICK)
    assert ended.end is End.CONNECT_REFUSED
    assert not patient.answers
    scene.wait(5.0)
    assert patient.end is End.CONNECT_REFUSED


def test_a_half_close_is_still_served(scene: Scene) -> None:
    """A client that has said all it had to say is connected to an upstream that comes within its two seconds."""
    ended = scene.come(ended=True)
    scene.wait(1.0)
    scene.set_all(PENDING)
    scene.wait(1.0 - TICK)
    scene.world.open(shaking_hands=False)[0].succeed()
    assert ended.address == HOST


def test_one_that_ends_before_its_first_round_is_over_comes_last_too(scene: Scene) -> None:
    """An end of stream that came while it was being dialled for counts once the dial rests."""
    scene.set_all(PENDING)
    ended = scene.come(ended=True)
    scene.world.attempts[0].miss(errno.ECONNREFUSED)
    patient = scene.come()
    scene.world.attempts[1].miss(errno.ECONNREFUSED)
    scene.wait(0.05 + 1e-6)
    assert scene.under_way([ended, patient]) == [patient]


def test_silence_is_not_waited_out_by_many(scene: Scene) -> None:
    """Where nobody answers at all, a crowd that has perhaps left gives up its attempts after half a second."""
    scene.set_all(PENDING)
    crowd = [scene.come() for _ in range(20)]
    scene.wait(1.0)
    for caller in crowd[:10]:
        assert caller.dial is not None
        caller.dial.client_ends()
    later = [scene.come(ended=True) for _ in range(10)]
    scene.wait(TICK)
    assert scene.under_way(crowd) == crowd[10:]
    assert scene.under_way(later) == later
    scene.wait(0.5)
    assert len(scene.under_way(crowd[:10] + later)) <= 2
    assert not any(caller.answers for caller in crowd + later)
    scene.wait(2.0 + TICK)
    assert {caller.end for caller in crowd[:10] + later} == {End.CONNECT_TIMEOUT}
    assert not any(caller.answers for caller in crowd[10:])


def test_an_end_before_the_attempt_is_known_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose stream ended while its upstream's name was looked up does not wait out silence either."""
    scene = Scene(monkeypatch, "db.example")
    ended = scene.come(ended=True)
    scene.world.resolver.answer((HOST,))
    scene.wait(0.5 - TICK)
    assert scene.under_way([ended]) == [ended]
    scene.wait(2 * TICK)
    assert scene.under_way([ended]) == []
    assert not ended.answers


def test_silence_of_a_first_endpoint_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-close before a list goes on to the second endpoint, as every client does."""
    scene = Scene(monkeypatch, HOST, "192.0.2.2")
    scene.set_all(PENDING)
    caller = scene.come(ended=True)
    scene.wait(2.0 + TICK)
    scene.world.open(shaking_hands=False)[0].succeed()
    assert caller.address == "192.0.2.2"


def test_one_that_leaves_makes_room_for_another(scene: Scene) -> None:
    """Of the two that are dialled for, one that goes lets the next one have its turn."""
    ended = [scene.come(ended=True) for _ in range(4)]
    scene.set_all(PENDING)
    scene.wait(1.0)
    for caller in scene.under_way(ended):
        assert caller.dial is not None
        caller.dial.cancel()
    scene.upstream.queue.answered()
    scene.wait(0.1)
    assert len(scene.under_way(ended)) == 2
