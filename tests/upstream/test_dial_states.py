"""Whatever becomes of look-ups, attempts and clients, and in which order, each dial has one answer, and in time."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ambassador.config.routes import Endpoint, Route
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK, Deadlines
from ambassador.upstream import dial as dial_module
from ambassador.upstream import queue as queue_module
from ambassador.upstream.dial import Dial, DialState
from ambassador.upstream.upstream import DialContext, Upstream
from tests.support.clock import FakeClock
from tests.support.world import BROKEN, LINKED, OWN, PENDING, World

if TYPE_CHECKING:
    from ambassador.metrics import End
    from ambassador.net.poller import Poller
    from ambassador.relay import Leg
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.resolve import Resolver

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
_OUTCOMES = st.sampled_from([*[PENDING] * 6, errno.ECONNREFUSED, errno.EMFILE, BROKEN, OWN])
_ADDRESSES = {_LITERAL: {_LITERAL}, "db.example": {_FOUND, _OTHER}, _BEHIND: {LINKED, _BEHIND}}


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
        self.world = World()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(queue_module, "MAX_DIALS", _MOST)
        self.patch.setattr(dial_module, "Attempt", self.world.attempt)
        self.clock = FakeClock()
        self.deadlines = Deadlines(self.clock)
        self.clients: list[Client] = []

    @initialize(endpoints=st.permutations(_ENDPOINTS), count=st.integers(1, 3))
    def serve(self, endpoints: list[Endpoint], count: int) -> None:
        """Serve some of the endpoints."""
        context = DialContext(
            poller=cast("Poller", None),  # which only real attempts need
            clock=self.clock,
            deadlines=self.deadlines,
            resolver=cast("Resolver", self.world.resolver),
            own=self.world,
            delay_acknowledgement=True,
        )
        route = Route("test:1", "test", (Address("", 1),), tuple(endpoints[:count]), "TEST_PORT_1_TCP")
        self.upstream = Upstream(route, context, timeout=2.0)

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
        left = attempt.owner.deadline - self.clock.time()
        # Three endpoints, of which one has two addresses.
        assert self.deadlines._when[attempt.owner] >= self.clock.time() + left / 4 - _ROUNDING or left < 0
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

    @rule(host=_HOSTS, outcome=_OUTCOMES, link=st.sampled_from([None, (), (LINKED,)]))
    def change(self, host: str, outcome: int, link: tuple[str, ...] | None) -> None:
        """From now on an attempt at a host meets something else on the spot, and the hosts file has another content."""
        self.world.outcomes[host] = outcome
        self.world.resolver.link = link

    @precondition(lambda self: any(client.endpoint for client in self.clients))
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        """A connection ends."""
        give_back(data.draw(st.sampled_from([client for client in self.clients if client.endpoint])))

    @rule(seconds=st.sampled_from([0.01, 0.03, 0.06, 0.2, 0.7, 2.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

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
            under_way = [one.shaking_hands for one in self.world.attempts if one.open and one.owner is dial]
            assert dial.over == (dial.state is DialState.OVER) == (not client.waits)
            assert under_way == {DialState.CONNECTING: [False], DialState.SHAKING_HANDS: [True]}.get(dial.state, [])
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
        """The queue's length is the dials without an answer, each of which has a deadline, and nobody else has."""
        dials = [client.the_dial for client in self.waiting()]
        assert len(self.upstream.queue) == len(dials)
        assert self.deadlines._when.keys() == set(dials)
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
        finally:
            self.patch.undo()


def give_back(client: Client) -> None:
    """End a client's connection, if it has one."""
    if client.endpoint is not None:
        client.endpoint.live -= 1
        client.endpoint = None


test_dials_of_one_upstream = DialMachine.TestCase
DialMachine.TestCase.settings = hypothesis.settings(max_examples=150, stateful_step_count=40)
