"""Whatever becomes of look-ups, attempts and clients, and in which order, each dial has one answer, and in time."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ambassador.config.routes import Endpoint
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK
from ambassador.upstream import queue as queue_module
from ambassador.upstream.dial import Dial
from ambassador.upstream.queue import DialState
from ambassador.upstream.trial import PATIENCE, Trial
from tests.support.world import BROKEN, LINKED, OWN, PENDING, World

if TYPE_CHECKING:
    from ambassador.metrics import End
    from ambassador.relay import Leg
    from ambassador.upstream.endpoint import ServedEndpoint

pytestmark = pytest.mark.timeout(400)  # hypothesis makes what it finds short, for five minutes at most

_MOST = 3
# Sums of the clock's times are not exact.
_ROUNDING = 1e-6
_UNDER_WAY = {DialState.RESOLVING, DialState.CONNECTING, DialState.SHAKING_HANDS}
_LITERAL, _FOUND, _OTHER, _BEHIND = "192.0.2.1", "198.51.100.1", "198.51.100.2", "192.0.2.9"
_HOSTS = st.sampled_from([_LITERAL, _FOUND, _OTHER, LINKED, _BEHIND])
_ENDPOINTS = [
    Endpoint(Address(_LITERAL, 80)),
    Endpoint(Address("db.example", 81)),
    Endpoint(Address(_BEHIND, 82), hosts_alias="db"),
]
# Most attempts are pending, or nothing would come of the rest.
_OUTCOMES = st.sampled_from([*[PENDING] * 6, errno.ECONNREFUSED, errno.EADDRNOTAVAIL, OWN])
_ADDRESSES = {_LITERAL: {_LITERAL}, "db.example": {_FOUND, _OTHER}, _BEHIND: {LINKED, _OTHER, _FOUND, _BEHIND}}


class Client:
    """Who asks for a dial; note what comes of it, for an error in here could get lost in the dial."""

    def __init__(self, machine: DialMachine, *, successor: bool) -> None:
        self.machine = machine
        self.successor = successor
        self.dial: Dial | None = None
        self.deadline = machine.clock.time() + machine.upstream.timeout
        self.answered: list[float] = []
        self.cancelled = False
        self.endpoint: ServedEndpoint | None = None

    def __repr__(self) -> str:
        """Be told apart in what hypothesis prints."""
        return f"client {self.machine.clients.index(self)}"

    @property
    def the_dial(self) -> Dial:
        """Its dial, which it knows only when that has begun."""
        assert self.dial is not None
        return self.dial

    @property
    def waits(self) -> bool:
        """Tell whether an answer is due."""
        return not self.answered and not self.cancelled

    def dialled(self, _leg: Leg, _address: str, endpoint: ServedEndpoint) -> None:
        """Hold a connection."""
        self.answered.append(self.machine.clock.time())
        self.endpoint = endpoint

    def dial_failed(self, _end: End, _error: str) -> None:
        """Perhaps make room for another client, who comes at once."""
        self.answered.append(self.machine.clock.time())
        if self.successor:
            self.machine.arrive(successor=False)

    def dial_broke(self, _error: Exception) -> None:
        """Take it for any failure."""
        self.answered.append(self.machine.clock.time())


class DialMachine(RuleBasedStateMachine):
    """Clients of one upstream, and all that may happen to its endpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(queue_module, "MAX_DIALS", _MOST)
        self.world = World(self.patch)
        self.clock, self.deadlines = self.world.clock, self.world.deadlines
        self.clients: list[Client] = []

    @initialize(endpoints=st.permutations(_ENDPOINTS), count=st.integers(1, 3), eject=st.sampled_from([0.0, 1.0, 1.0]))
    def serve(self, endpoints: list[Endpoint], count: int, eject: float) -> None:
        """Serve some of the endpoints."""
        self.upstream = self.world.upstream(endpoints[:count], timeout=2.0, eject=eject)

    def arrive(self, *, successor: bool) -> None:
        """Dial for a new client."""
        client = Client(self, successor=successor)
        self.clients.append(client)
        client.dial = self.upstream.dial(client)

    def waiting(self) -> list[Client]:
        """Return the clients to whom an answer is due."""
        return [client for client in self.clients if client.waits]

    @rule(timeout=st.sampled_from([0.3, 2.0, 2.0, 30.0]), successor=st.booleans(), count=st.integers(1, 3))
    def come(self, timeout: float, successor: bool, count: int) -> None:  # noqa: FBT001 - as hypothesis passes it
        """Clients come."""
        self.upstream.timeout = timeout
        for _ in range(count):
            self.arrive(successor=successor)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), circle=st.booleans())
    def cut(self, data: st.DataObject, circle: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """A client goes, or its dial turns out to go round in a circle."""
        client = data.draw(st.sampled_from(self.waiting()))
        if circle:
            client.the_dial.refuse("a circle")
            assert not client.waits
        else:
            client.cancelled = True
            client.the_dial.cancel()

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), there=st.booleans())
    def hand_over(self, data: st.DataObject, there: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """A client needs its connection now, if it is there already."""
        client = data.draw(st.sampled_from(self.waiting()))
        self.world.there = there
        assert client.the_dial.hand_over() == bool(client.answered)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def end_stream(self, data: st.DataObject) -> None:
        """A client's stream ends: it is gone, or has said all."""
        data.draw(st.sampled_from(self.waiting())).the_dial.client_ends()

    @precondition(lambda self: self.world.open(shaking_hands=False))
    @rule(data=st.data(), error_number=st.sampled_from([errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EACCES]))
    def miss(self, data: st.DataObject, error_number: int) -> None:
        """An attempt reaches nobody."""
        data.draw(st.sampled_from(self.world.open(shaking_hands=False))).miss(error_number)

    @precondition(lambda self: self.world.open(shaking_hands=False))
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        """An attempt is accepted, and that is all it takes."""
        data.draw(st.sampled_from(self.world.open(shaking_hands=False))).succeed()

    @precondition(lambda self: self.world.open(shaking_hands=False))
    @rule(data=st.data(), at_once=st.booleans())
    def shake_hands(self, data: st.DataObject, at_once: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """An attempt is accepted, and the handshake begins, or fails at once."""
        attempt = data.draw(st.sampled_from(self.world.open(shaking_hands=False)))
        attempt.shake_hands()
        whose, now = attempt.for_whom, self.clock.time()
        assert isinstance(whose, Dial | Trial)
        left = whose.deadline - now if isinstance(whose, Dial) else math.inf
        # Three endpoints, of which one has three addresses; one that stood back has less than a share.
        assert self.deadlines._when[whose] >= now + min(left / 5, PATIENCE) - _ROUNDING or left < 0
        if at_once:
            attempt.fail_handshake()

    @precondition(lambda self: self.world.open(shaking_hands=True))
    @rule(data=st.data(), proven=st.booleans())
    def end_handshake(self, data: st.DataObject, proven: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """A handshake comes to an end."""
        attempt = data.draw(st.sampled_from(self.world.open(shaking_hands=True)))
        if proven:
            attempt.succeed()
        else:
            attempt.fail_handshake()

    @precondition(lambda self: self.world.resolver.lookups)
    @rule(found=st.sampled_from([(), (_FOUND,), (_FOUND, _OTHER), (_OTHER, _FOUND)]))
    def answer(self, found: tuple[str, ...]) -> None:
        """The name server answers all who have asked, some of which have gone on without it."""
        self.world.resolver.answer(found)

    @rule(host=_HOSTS, outcome=_OUTCOMES, link=st.sampled_from([None, (), (LINKED,), (LINKED, _OTHER, _FOUND)]))
    def change(self, host: str, outcome: int, link: tuple[str, ...] | None) -> None:
        """From now on an attempt at a host meets something else on the spot, and the hosts file has another content."""
        self.world.outcomes[host] = outcome
        self.world.resolver.link = link

    @rule(host=st.sampled_from([_LITERAL, _BEHIND]))
    def break_down(self, host: str) -> None:
        """To try a host, which is never one of several, is a fault of ours from now on."""
        self.world.outcomes[host] = BROKEN

    @precondition(lambda self: any(client.endpoint for client in self.clients))
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        """A connection ends."""
        give_back(data.draw(st.sampled_from([client for client in self.clients if client.endpoint])))

    @rule(seconds=st.sampled_from([0.01, 0.03, 0.06, 0.2, 0.7, 2.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([3.0, 40.0]))
    def sleep(self, seconds: float) -> None:
        """The process is stopped for a while; whoever waits is not too late for that."""
        for client in self.waiting():
            client.deadline = max(client.deadline, self.clock.time() + seconds + 2.0)
        self.clock.freeze(seconds)

    @invariant()
    def answers_are_single_and_in_time(self) -> None:
        """Nobody is answered twice, later than a tick after its deadline, or after it has cancelled."""
        now = self.clock.time()
        for client in self.clients:
            assert len(client.answered) <= (not client.cancelled)
            assert all(when <= client.deadline + TICK + _ROUNDING for when in client.answered)
            assert not client.waits or now <= client.deadline + TICK + _ROUNDING

    @invariant()
    def states_are_true(self) -> None:
        """A dial is over when its client waits no longer; it has an attempt, a slot and an endpoint when it says so."""
        for client in self.clients:
            dial = client.the_dial
            under_way = [one.shaking_hands for one in self.world.attempts if one.open and one.for_whom is dial]
            assert dial.over == (dial.state is DialState.OVER) == (not client.waits)
            assert bool(under_way) == (dial.state in {DialState.CONNECTING, DialState.SHAKING_HANDS})
            # A handshake has no other attempt beside it; where it has failed, other addresses have their turn.
            assert not any(under_way) or (dial.state, under_way) == (DialState.SHAKING_HANDS, [True])
            assert dial.holds_slot == (dial._endpoint is not None) == (dial.state in _UNDER_WAY)
            assert (dial._attempt is not None) == bool(under_way)

    @invariant()
    def attempts_are_at_their_endpoints(self) -> None:
        """An address is tried only for the endpoint of which it is one, however late the answer that brought it."""
        assert all(one.host in _ADDRESSES[one.endpoint.host] for one in self.world.attempts)

    @invariant()
    def endpoints_count_who_has_chosen_them(self) -> None:
        """An endpoint's `live` is the dials that have chosen it, and the connections that were not given back."""
        for endpoint in self.upstream.endpoints:
            dials = sum(client.the_dial._endpoint is endpoint for client in self.clients)
            assert endpoint.live == dials + sum(client.endpoint is endpoint for client in self.clients)

    @invariant()
    def the_queue_counts_who_waits(self) -> None:
        """The length is the dials without an answer. They have deadlines, and so have trials, but nobody else."""
        dials = [client.the_dial for client in self.waiting()]
        trials = {owner for owner in self.deadlines._when if isinstance(owner, Trial)}
        assert len(self.upstream.queue) == len(dials)
        assert self.deadlines._when.keys() == trials.union(dials)
        assert trials.issuperset(one.for_whom for one in self.world.attempts if one.open and one.for_whom not in dials)
        assert len(trials) <= len(self.upstream.endpoints)
        for dial in dials:
            when = self.deadlines._when[dial]
            latest = max(dial.deadline, self.clock.time()) + _ROUNDING  # a step may begin when the tick is yet to come
            assert when <= latest if dial.holds_slot else when == dial.deadline

    def teardown(self) -> None:
        """In the end each client had its answer, and nothing is left."""
        try:
            self.clock.advance(70)  # twice the longest timeout: some have successors
            assert self.waiting() == []
            for client in self.clients:
                give_back(client)
            assert [endpoint.live for endpoint in self.upstream.endpoints if endpoint.live] == []
            assert [one for one in self.world.attempts if one.open] == []
            assert self.clock.timers == []
            for endpoint in self.upstream.endpoints:
                known = [endpoint.ejection, *(address.ejection for address in endpoint._known.values())]
                assert {ejection._asked for ejection in known} == {-math.inf}
        finally:
            self.patch.undo()


def give_back(client: Client) -> None:
    """End a client's connection, if it has one."""
    if client.endpoint is not None:
        client.endpoint.live -= 1
        client.endpoint = None


test_dials_of_one_upstream = DialMachine.TestCase
DialMachine.TestCase.settings = hypothesis.settings(max_examples=50, stateful_step_count=40)
