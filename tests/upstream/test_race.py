"""The addresses of one name are raced: who begins when, who is taken, and what is remembered of the others."""

from __future__ import annotations

import errno

import pytest

from ambassador.config.routes import Endpoint
from ambassador.metrics import End
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from tests.support.dials import Caller
from tests.support.world import OWN, World

A, B, C = "2001:db8::1", "192.0.2.1", "192.0.2.2"
# A clock's reading and the time until it are not exact.
_MOMENT = 1e-6


class Scene:
    """Dials of one name with these addresses."""

    def __init__(self, patch: pytest.MonkeyPatch, *, eject: float = 1.0) -> None:
        self.world = World(patch)
        self.upstream = self.world.upstream([Endpoint(Address("db.example", 80))], eject=eject)
        self.endpoint = self.upstream.endpoints[0]
        self.caller = Caller()

    def dial(self, *addresses: str) -> Caller:
        """Begin a dial, and answer its look-up."""
        self.caller = Caller()
        self.caller.dial = self.upstream.dial(self.caller)
        self.world.resolver.answer(addresses)
        return self.caller

    def at(self, host: str) -> None:
        """Have the attempt at *host* connect."""
        next(attempt for attempt in self.world.attempts if attempt.open and attempt.host == host).succeed()

    def hosts(self) -> list[str]:
        """Return who is being asked, in the order in which it began."""
        return [attempt.host for attempt in self.world.attempts if attempt.open]

    def wait(self, seconds: float) -> None:
        """Let time pass, and a moment more."""
        self.world.clock.advance(seconds + _MOMENT)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a scene of one name."""
    return Scene(monkeypatch)


def test_the_next_address_begins_a_quarter_of_a_second_later(scene: Scene) -> None:
    """Silent addresses are joined by the next one every 250 ms, and go on beside it."""
    scene.dial(A, B, C)
    assert scene.hosts() == [A]
    scene.wait(0.24)
    assert scene.hosts() == [A]
    scene.wait(0.01)
    assert scene.hosts() == [A, B]
    scene.wait(0.25)
    assert scene.hosts() == [A, B, C]
    scene.at(A)
    assert scene.caller.address == A
    assert (scene.hosts(), scene.world.clock.timers[1:]) == ([], [])


def test_an_address_that_is_slow_as_ever_has_twice_its_time(scene: Scene) -> None:
    """Where the last connect took 400 ms the next address begins after 800, and never later than after two seconds."""
    for took, delay in ((0.4, 0.8), (0.1, 0.25), (3.0, 2.0)):
        scene.dial(B)
        scene.endpoint.known(A).connect_seconds = took
        scene.dial(A, B)
        scene.wait(delay - 0.01)
        assert scene.hosts() == [B, A], took
        scene.wait(0.01)
        assert scene.hosts() == [B, A, B], took
        for attempt in scene.world.attempts:
            attempt.open = False


def test_how_long_a_connect_took_is_remembered(scene: Scene) -> None:
    """The time from the beginning of an attempt to its connection is what the next race reckons with."""
    scene.dial(A, B)
    scene.wait(0.25 + 0.3)
    scene.at(B)
    assert scene.endpoint.known(B).connect_seconds == pytest.approx(0.3, abs=0.001)


def test_who_refuses_is_followed_at_once_and_comes_last_then(scene: Scene) -> None:
    """A refusal costs no waiting; the next dial begins with the address that answered, a later one tries again."""
    scene.dial(A, B)
    scene.world.attempts[0].miss(errno.ECONNREFUSED)
    assert scene.hosts() == [B]
    scene.at(B)
    scene.dial(A, B)
    assert scene.hosts() == [B]
    scene.at(B)
    scene.wait(1.0)
    scene.dial(A, B)
    assert scene.hosts() == [A]


def test_who_is_silent_comes_last_then(scene: Scene) -> None:
    """An address that let another pass it by in silence costs the next dial nothing."""
    scene.dial(A, B)
    scene.wait(0.25)
    scene.at(B)
    assert scene.endpoint.known(A).ejection.ejected
    scene.dial(A, B)
    assert scene.hosts() == [B]


def test_who_had_hardly_begun_is_not_blamed(scene: Scene) -> None:
    """An address that had a few milliseconds when another answered stays in its place, and so does a later one."""
    scene.dial(A, B, C)
    scene.wait(0.25)
    next(attempt for attempt in scene.world.attempts if attempt.host == A).miss(errno.ECONNREFUSED)
    assert scene.hosts() == [B, C]
    scene.at(C)
    assert not scene.endpoint.known(B).ejection.ejected
    scene.dial(B, C)
    scene.wait(0.5)  # C has had a quarter of a second by now, but it began after B
    scene.at(B)
    assert not scene.endpoint.known(C).ejection.ejected


def test_with_eject_off_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is ever ejected each dial begins with the first address."""
    scene = Scene(monkeypatch, eject=0.0)
    for _ in range(2):
        scene.dial(A, B)
        assert scene.hosts() == [A]
        scene.wait(0.25)
        scene.at(B)


def test_a_silent_race_ends_at_the_deadline_and_is_remembered(scene: Scene) -> None:
    """When nobody answers the dial is late once, and all stand back, so that the next begins with the first."""
    caller = scene.dial(A, B)
    scene.wait(10.0 + TICK)
    assert (caller.answers, caller.end) == (1, End.CONNECT_TIMEOUT)
    assert all(scene.endpoint.known(host).ejection.ejected for host in (A, B))
    scene.dial(A, B)
    assert scene.hosts() == [A]


def test_who_cancels_blames_nobody_and_leaves_nothing(scene: Scene) -> None:
    """A client that goes ends every attempt and the timer of the race."""
    caller = scene.dial(A, B, C)
    scene.wait(0.3)
    assert caller.dial is not None
    caller.dial.cancel()
    assert scene.hosts() == []
    assert not any(scene.endpoint.known(host).ejection.ejected for host in (A, B, C))
    scene.wait(1.0)
    assert (scene.hosts(), scene.world.clock.timers) == ([], [])


def test_who_cancels_lets_another_try_what_stood_back(scene: Scene) -> None:
    """A client that goes while its dial tries an address that had stood back leaves that to the next one."""
    scene.dial(A, B)
    scene.world.attempts[0].miss(errno.ECONNREFUSED)
    scene.at(B)
    scene.wait(1.0)
    for _ in range(2):
        caller = scene.dial(A, B)
        assert scene.hosts() == [A]
        assert caller.dial is not None
        caller.dial.cancel()


def test_one_family_that_fails_is_no_trouble(scene: Scene) -> None:
    """An address that fails while another of its name connects does not make the endpoint miss."""
    scene.dial(A, B)
    scene.world.attempts[0].miss(errno.ENETUNREACH)
    scene.at(B)
    assert (scene.endpoint.health.up, scene.endpoint.health.failures) == (True, 0)


@pytest.mark.parametrize("errors", [(errno.ECONNREFUSED, errno.EAFNOSUPPORT), (errno.EACCES, errno.ECONNREFUSED)])
def test_what_is_worth_another_try_decides(scene: Scene, errors: tuple[int, int]) -> None:
    """Of two failures the one that may pass is the reason, and has the dial try again."""
    scene.world.outcomes = dict(zip((A, B), errors, strict=True))
    caller = scene.dial(A, B)
    assert (caller.answers, len(scene.upstream.queue)) == (0, 1)
    assert caller.dial is not None
    assert caller.dial.end is End.CONNECT_REFUSED
    assert caller.dial.error.endswith(": Connection refused")


def test_a_shortage_says_nothing_of_an_address(scene: Scene) -> None:
    """An address for which there is no local port is passed over, and is in its place the next time."""
    for seconds in (0.0, 1.0):  # also where it had stood back, and was to be tried again
        scene.wait(seconds)
        scene.world.outcomes = {A: errno.EADDRNOTAVAIL}
        scene.dial(A, B)
        scene.at(B)
        scene.world.outcomes.clear()
        scene.dial(A, B)
        assert scene.hosts() == [A]
        scene.world.attempts[-1].miss(errno.ECONNREFUSED)
        scene.at(B)


def test_an_address_of_ours_is_left_out_and_said(scene: Scene) -> None:
    """Of a name that leads here among other places, the other places are dialled."""
    refused: list[str] = []
    scene.world.outcomes = {A: OWN}
    scene.world.on_refusal = refused.append
    scene.dial(A, B)
    assert (scene.hosts(), refused) == ([B], [f"[{A}]:80"])


def test_handshakes_are_not_raced(scene: Scene) -> None:
    """The first address that accepts has to prove itself, and no other is asked meanwhile, or ever if it does."""
    scene.dial(A, B, C)
    scene.wait(0.25)
    (at_a, at_b) = scene.world.attempts
    at_a.shake_hands()
    assert (scene.hosts(), at_b.open) == ([A], False)
    scene.wait(1.0)
    assert scene.hosts() == [A]
    at_a.succeed()
    assert scene.caller.address == A


def test_a_handshake_that_fails_lets_the_others_have_their_turn(scene: Scene) -> None:
    """Whoever accepts and does not prove itself comes last from then on; those put off for it are asked again."""
    scene.dial(A, B, C)
    scene.wait(0.25)
    scene.world.attempts[0].shake_hands()
    scene.world.attempts[0].fail_handshake()
    assert scene.hosts() == [C]
    scene.wait(0.25)
    assert scene.hosts() == [C, B]
    scene.at(B)
    assert scene.caller.address == B
    scene.dial(A, B)
    assert scene.hosts() == [B]


def test_a_handshake_that_hangs_lets_the_others_have_their_turn(scene: Scene) -> None:
    """Whoever accepts and then is silent has its share of the time, and comes last from then on."""
    scene.dial(A, B)
    scene.world.attempts[0].shake_hands()
    scene.wait(5.0 + TICK)
    assert scene.hosts() == [B]
    scene.world.attempts[-1].shake_hands()
    scene.at(B)
    assert scene.caller.address == B
    scene.dial(A, B)
    assert scene.hosts() == [B]


def test_handshakes_that_all_fail_are_the_reason(scene: Scene) -> None:
    """When nobody proves itself the dial says of whom it learnt that last."""
    caller = scene.dial(A, B)
    for number in (0, 1):
        scene.world.attempts[number].shake_hands()
        scene.world.attempts[number].fail_handshake()
    assert (caller.end, caller.error) == (End.HANDSHAKE_FAILED, f"{B}: no proof")
