"""An endpoint that stood back is tried beside the client that was to try it."""

from __future__ import annotations

import errno

import pytest

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from ambassador.upstream.trial import PATIENCE, SILENT_AFTER
from tests.support.dials import Caller
from tests.support.world import LINKED, OWN, World

FIRST, SECOND = "192.0.2.1", "192.0.2.2"


class Scene:
    """A first endpoint that was missed and whose time is over, before a second that is well."""

    def __init__(self, patch: pytest.MonkeyPatch, first: str = FIRST) -> None:
        self.world = World(patch)
        self.upstream = self.world.upstream([Endpoint(Address(first, 80)), Endpoint(Address(SECOND, 80))])
        self.endpoint = self.upstream.endpoints[0]
        self.upstream.missed(self.endpoint, "silent", silent=False)
        self.wait(1.0)

    @property
    def stands_back(self) -> bool:
        """Tell whether another dial would try it last."""
        return self.upstream.round()[0][0] is not self.endpoint

    def dial(self) -> Caller:
        """Begin a dial."""
        caller = Caller()
        caller.dial = self.upstream.dial(caller)
        return caller

    def hosts(self) -> list[str]:
        """Return who is being asked, in the order in which it began."""
        return [attempt.host for attempt in self.world.attempts if attempt.open]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds)

    def tries(self) -> Caller:
        """Have a client that is to try the first endpoint, and goes on to the second."""
        caller = self.dial()
        self.wait(PATIENCE + TICK)
        assert self.hosts() == [FIRST, SECOND]
        return caller


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a scene of two addresses."""
    return Scene(monkeypatch)


def test_one_dial_tries_it_and_its_client_goes_on_after_a_quarter_of_a_second(scene: Scene) -> None:
    """The first client of those who come then asks it, for 250 ms; the others go past it at once."""
    caller, other = scene.dial(), scene.dial()
    assert scene.hosts() == [FIRST, SECOND]
    scene.world.attempts[1].succeed()
    assert other.address == SECOND
    scene.wait(PATIENCE - TICK)
    assert scene.hosts() == [FIRST]
    scene.wait(2 * TICK)
    assert scene.hosts() == [FIRST, SECOND]
    assert scene.endpoint.live == 0
    scene.world.attempts[-1].succeed()
    assert caller.address == SECOND
    assert scene.hosts() == [FIRST]


def test_one_that_answers_its_client_in_time_is_taken(scene: Scene) -> None:
    """An endpoint that is well again has its client, and stands in its place."""
    caller = scene.dial()
    scene.world.attempts[0].succeed()
    assert (caller.address, scene.stands_back) == (FIRST, False)


def test_one_that_answers_late_stands_in_its_place_again(scene: Scene) -> None:
    """When the attempt beside the client connects it is ended, and the next dial goes there."""
    caller = scene.tries()
    attempt = scene.world.attempts[0]
    assert scene.stands_back
    attempt.succeed()
    assert attempt.socket.closed
    assert not scene.stands_back
    assert caller.answers == 0
    assert len(scene.world.deadlines._when) == 1


@pytest.mark.parametrize("silent", [False, True])
def test_one_that_is_still_down_stands_back_anew(scene: Scene, silent: bool) -> None:  # noqa: FBT001 - a parameter
    """A refusal, or two seconds of silence, is told of it, and it stands back for its time again."""
    scene.tries()
    scene.world.attempts[1].succeed()
    failures = scene.endpoint.health.failures
    if silent:
        scene.wait(SILENT_AFTER + TICK)
        assert scene.endpoint.health.error == "no answer in time"
    else:
        scene.world.attempts[0].miss(errno.ECONNREFUSED)
    assert FIRST not in scene.hosts()
    assert scene.endpoint.health.failures == failures + 1
    assert scene.stands_back
    scene.wait(1.3)
    assert not scene.stands_back


def test_a_handshake_beside_the_client_has_its_own_time(scene: Scene) -> None:
    """Who accepts late has two seconds to prove itself, and is missed if it does not."""
    scene.tries()
    attempt = scene.world.attempts[0]
    scene.wait(1.9)
    attempt.shake_hands()
    scene.wait(1.9)
    assert attempt.open
    attempt.fail_handshake()
    assert scene.endpoint.health.error == "no proof"
    assert scene.stands_back


def test_a_shortage_of_ours_lets_another_dial_try_it(scene: Scene) -> None:
    """Where this machine has no port for the attempt, that says nothing, and the next dial is to try it."""
    scene.tries()
    scene.world.attempts[0].miss(errno.EADDRNOTAVAIL)
    assert not scene.stands_back
    assert len(scene.world.deadlines._when) == 1


def test_the_clients_end_is_not_that_of_the_trial(scene: Scene) -> None:
    """A client that goes on and then leaves does not keep the endpoint from being found well."""
    caller = scene.tries()
    assert caller.dial is not None
    caller.dial.cancel()
    scene.world.attempts[0].succeed()
    assert not scene.stands_back


def test_a_client_that_leaves_while_it_tries_lets_another_try(scene: Scene) -> None:
    """Who goes before the 250 ms are over has found out nothing, and the next client tries it."""
    caller = scene.dial()
    assert caller.dial is not None
    caller.dial.cancel()
    scene.dial()
    assert scene.hosts() == [FIRST]


def test_a_dial_whose_others_fail_waits_for_what_comes_of_the_trial(scene: Scene) -> None:
    """Where the others cannot be dialled at all, the client has another round while the first is being tried."""
    scene.world.outcomes = {SECOND: errno.EACCES}
    caller = scene.dial()
    scene.wait(PATIENCE + TICK)
    assert (caller.answers, scene.hosts()) == (0, [FIRST])


def test_a_process_that_was_stopped_is_no_silence(scene: Scene) -> None:
    """A trial whose two seconds passed while all was stopped has two more."""
    scene.tries()
    scene.world.clock.freeze(5.0)
    assert FIRST in scene.hosts()
    scene.wait(SILENT_AFTER + TICK)
    assert FIRST not in scene.hosts()


def test_a_slow_name_is_tried_beside_its_client_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that takes longer than the client's 250 ms goes on, and so does what follows from it."""
    scene = Scene(monkeypatch, "db.example")
    caller = scene.dial()
    scene.wait(PATIENCE + TICK)
    assert scene.hosts() == [SECOND]
    scene.world.attempts[0].succeed()
    assert caller.address == SECOND
    assert scene.stands_back
    scene.world.resolver.lookups[0]((FIRST,), None)
    assert scene.hosts() == [FIRST]
    scene.world.attempts[1].succeed()
    assert not scene.stands_back
    assert not scene.world.deadlines._when


@pytest.mark.parametrize("outcome", [None, OWN, errno.ECONNREFUSED, errno.EMFILE])
def test_a_slow_name_that_leads_nowhere_stands_back_anew(monkeypatch: pytest.MonkeyPatch, outcome: int | None) -> None:
    """A name that is not there, is ours or refuses on the spot is missed again; a shortage says nothing of it."""
    scene = Scene(monkeypatch, "db.example")
    scene.dial()
    scene.wait(PATIENCE + TICK)
    if outcome is not None:
        scene.world.outcomes = {LINKED: outcome}
    scene.world.resolver.lookups[0]((LINKED,) if outcome is not None else (), "no such name")
    assert scene.stands_back == (outcome != errno.EMFILE)
    assert len(scene.world.deadlines._when) == 1


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two seconds without an answer the endpoint is missed, and an answer after that is of no use."""
    scene = Scene(monkeypatch, "db.example")
    scene.dial()
    scene.wait(PATIENCE + SILENT_AFTER + 2 * TICK)
    assert scene.endpoint.health.error == "no answer in time"
    scene.world.resolver.lookups[0]((FIRST,), None)
    assert FIRST not in scene.hosts()
