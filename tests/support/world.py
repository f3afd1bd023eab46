"""A world of upstreams that do what the test says, in which no dial needs a socket."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

from ambassador.config.routes import Route
from ambassador.net.address import Address
from ambassador.net.deadlines import Deadlines
from ambassador.upstream import race as race_module
from ambassador.upstream.race import Race
from ambassador.upstream.upstream import DialContext, Upstream
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from ambassador.config.routes import Endpoint
    from ambassador.net.poller import Poller
    from ambassador.relay import Leg
    from ambassador.upstream.attempt import Attempt, AttemptOwner
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.helper import Answer
    from ambassador.upstream.resolve import Resolver

LINKED = "203.0.113.1"
# What an attempt meets on the spot, unless it is an errno.
PENDING, BROKEN, OWN = 0, -1, -2


class World:
    """What dials meet.

    Attributes:
        clock: its time, which the test moves.
        outcomes: what an attempt at a host meets on the spot; `PENDING` unless it is here.
        there: whether an attempt of which no event has told is connected.
        attempts: all that were made.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(race_module, "Attempt", self.attempt)
        self.clock = FakeClock()
        self.deadlines = Deadlines(self.clock)
        self.outcomes: dict[str, int] = {}
        self.there = False
        self.on_refusal: Callable[[str], object] = lambda _address: None
        self.attempts: list[ModelAttempt] = []
        self.resolver = ModelResolver()

    def upstream(self, endpoints: Sequence[Endpoint], *, timeout: float = 10.0, eject: float = 1.0) -> Upstream:
        """Return an upstream in this world."""
        context = DialContext(
            poller=cast("Poller", self),
            clock=self.clock,
            deadlines=self.deadlines,
            resolver=cast("Resolver", self.resolver),
            own=self,
            delay_acknowledgement=True,
        )
        route = Route("test:1", "test", (Address("", 1),), tuple(endpoints), "TEST_PORT_1_TCP")
        return Upstream(route, context, timeout=timeout, eject=eject)

    def attempt(
        self, host: str, endpoint: ServedEndpoint, _upstream: Upstream, owner: AttemptOwner[Attempt]
    ) -> ModelAttempt:
        """Make what a dial or a race takes for an `Attempt`."""
        made = ModelAttempt(self, host, endpoint, owner)
        self.attempts.append(made)
        return made

    def close(self, sock: ModelSocket) -> None:
        """Close a socket, as a poller does."""
        sock.closed = True

    def open(self, *, shaking_hands: bool) -> list[ModelAttempt]:
        """Return the attempts that are under way."""
        return [one for one in self.attempts if one.open and one.shaking_hands == shaking_hands]

    def listens_at(self, host: str, _port: int) -> bool:
        """Tell whether the test takes this for a listener of its own."""
        return self.outcomes.get(host) == OWN

    def refusal(self, _route: Route, address: str) -> str:
        """Give the reason for not dialling one's own listener."""
        self.on_refusal(address)
        return f"{address} is ours"


class ModelSocket:
    """A socket of which only its end matters."""

    def __init__(self) -> None:
        self.closed = False

    def shutdown(self, _how: int) -> None:
        """Be without a peer, so that nobody waits for its end."""
        raise OSError(errno.ENOTCONN, "not connected")


class ModelAttempt:
    """An attempt that ends as the test says."""

    others = 0

    def __init__(self, world: World, host: str, endpoint: ServedEndpoint, owner: AttemptOwner[Attempt]) -> None:
        self.world = world
        self.endpoint = endpoint
        self.owner = owner
        self.host = self.address = host
        self.socket = ModelSocket()
        self.open = False
        self.shaking_hands = False

    def __repr__(self) -> str:
        """Be told apart in what hypothesis prints."""
        return f"attempt {self.world.attempts.index(self)} at {self.host}"

    @property
    def for_whom(self) -> object:
        """The dial or the trial that it is for, be it by a race."""
        return self.owner.owner if isinstance(self.owner, Race) else self.owner

    def start(self) -> int:
        """Begin, or fail on the spot."""
        outcome = self.world.outcomes.get(self.host, PENDING)
        if outcome == BROKEN:
            raise LookupError("broken on purpose")
        self.open = outcome == PENDING
        return outcome

    def cancel(self) -> None:
        """Be over."""
        self.open = False

    abandon = lose = cancel

    def pass_over(self) -> bool:
        """Know no other address."""
        return False

    def reason(self, error_number: int) -> str:
        """Say who was missed."""
        return f"{self.host}: {error_number}"

    def hand_over(self) -> bool:
        """Be connected at once, which is not so for a handshake."""
        if not self.open or self.shaking_hands or not self.world.there:
            return False
        self.succeed()
        return True

    def succeed(self) -> None:
        """Be connected, or through with the handshake."""
        self.open = False
        self.owner.connected(cast("Attempt", self), cast("Leg", self))

    def miss(self, error_number: int) -> None:
        """Reach nobody."""
        self.open = False
        self.owner.missed(cast("Attempt", self), error_number)

    def shake_hands(self) -> None:
        """Be accepted, and begin the handshake."""
        self.shaking_hands = True
        self.owner.handshake_begins(cast("Attempt", self))

    def fail_handshake(self) -> None:
        """Have met one who does not prove himself."""
        self.open = False
        self.owner.handshake_failed(cast("Attempt", self), "no proof")


class ModelResolver:
    """A hosts file and a name server whose answers come when the test says, or never."""

    def __init__(self) -> None:
        self.link: tuple[str, ...] | None = (LINKED,)
        self.lookups: list[Answer] = []

    def linked(self, alias: str) -> tuple[str, ...] | None:
        """Return what the hosts file has."""
        assert alias == "db"
        return self.link

    def lookup(self, name: str, answer: Answer) -> None:
        """Keep who asks."""
        assert name.endswith(".example")
        self.lookups.append(answer)

    def answer(self, found: tuple[str, ...]) -> None:
        """Answer all who have asked, as the resolver does."""
        lookups, self.lookups = self.lookups, []
        for answer in lookups:
            answer(found, None if found else "no such name")
