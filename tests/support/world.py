"""A world of upstreams that do what the test says, in which no dial needs a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ambassador.config.routes import Route
    from ambassador.net.poller import Poller
    from ambassador.relay import Leg
    from ambassador.upstream.dial import Dial
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.helper import Answer

LINKED = "203.0.113.1"
# What an attempt meets on the spot, unless it is an errno.
PENDING, BROKEN, OWN = 0, -1, -2


class World:
    """What dials meet.

    Attributes:
        outcomes: what an attempt at a host meets on the spot; `PENDING` unless it is here.
        there: whether an attempt of which no event has told is connected.
        attempts: all that were made.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.there = False
        self.attempts: list[ModelAttempt] = []
        self.resolver = ModelResolver()

    def attempt(
        self, host: str, endpoint: ServedEndpoint, _poller: Poller, _credentials: object, owner: Dial
    ) -> ModelAttempt:
        """Make what a dial takes for an `Attempt`."""
        made = ModelAttempt(self, host, endpoint, owner)
        self.attempts.append(made)
        return made

    def open(self, *, shaking_hands: bool) -> list[ModelAttempt]:
        """Return the attempts that are under way."""
        return [one for one in self.attempts if one.open and one.shaking_hands == shaking_hands]

    def listens_at(self, host: str, _port: int) -> bool:
        """Tell whether the test takes this for a listener of its own."""
        return self.outcomes.get(host) == OWN

    def refusal(self, _route: Route, address: str) -> str:
        """Give the reason for not dialling one's own listener."""
        return f"{address} is ours"


class ModelAttempt:
    """An attempt that ends as the test says."""

    def __init__(self, world: World, host: str, endpoint: ServedEndpoint, owner: Dial) -> None:
        self.world = world
        self.endpoint = endpoint
        self.owner = owner
        self.host = self.address = host
        self.socket = None
        self.open = False
        self.shaking_hands = False

    def __repr__(self) -> str:
        """Be told apart in what hypothesis prints."""
        return f"attempt {self.world.attempts.index(self)} at {self.host}"

    def start(self, *, delay_acknowledgement: bool) -> int:
        """Begin, or fail on the spot."""
        assert delay_acknowledgement
        outcome = self.world.outcomes.get(self.host, PENDING)
        if outcome == BROKEN:
            raise LookupError("broken on purpose")
        self.open = outcome == PENDING
        return outcome

    def cancel(self) -> None:
        """Be over."""
        self.open = False

    def hand_over(self) -> bool:
        """Be connected at once, which is not so for a handshake."""
        if not self.open or self.shaking_hands or not self.world.there:
            return False
        self.succeed()
        return True

    def succeed(self) -> None:
        """Be connected, or through with the handshake."""
        self.open = False
        self.owner.connected(cast("Leg", self))

    def miss(self, error_number: int) -> None:
        """Reach nobody."""
        self.open = False
        self.owner.missed(error_number)

    def shake_hands(self) -> None:
        """Be accepted, and begin the handshake."""
        self.shaking_hands = True
        self.owner.handshake_begins()

    def fail_handshake(self) -> None:
        """Have met one who does not prove himself."""
        self.open = False
        self.owner.handshake_failed("no proof")


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
        assert name == "db.example"
        self.lookups.append(answer)

    def answer(self, found: tuple[str, ...]) -> None:
        """Answer all who have asked, as the resolver does."""
        lookups, self.lookups = self.lookups, []
        for answer in lookups:
            answer(found, None if found else "no such name")
