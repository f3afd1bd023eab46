"""One route's upstream: its endpoints, and what dials them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ambassador.upstream.balance import first
from ambassador.upstream.dial import Dial, DialOwner
from ambassador.upstream.endpoint import ServedEndpoint
from ambassador.upstream.queue import DialQueue

if TYPE_CHECKING:
    from ambassador.config.routes import Route
    from ambassador.net.clock import Clock
    from ambassador.net.deadlines import Deadlines
    from ambassador.net.poller import Poller
    from ambassador.tunnel import Credentials
    from ambassador.upstream.balance import Policy
    from ambassador.upstream.resolve import Resolver


class OwnListeners(Protocol):
    """Where this very process listens: an upstream there would be a circle."""

    def listens_at(self, host: str, port: int) -> bool:
        """Tell whether the IP address *host* and *port* lead to a listener of this process."""

    def refusal(self, route: Route, address: str) -> str:
        """Say in the log, once a route, that *route* leads to *address*, which is ours; return the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialContext:
    """What the dials of a process share, whichever their upstream.

    Attributes:
        clock: the event loop's time and timers.
        own: where this process itself listens.
        delay_acknowledgement: whether a dial's handshake may be ended by the client's first bytes. Not where siblings
            accept, too: a worker that acknowledges at once gets a dial that address translation brings back in the
            turn in which it dialled, and so finds the loop sooner (15 to 36 hops were seen, and 64 without).
    """

    poller: Poller
    clock: Clock
    deadlines: Deadlines
    resolver: Resolver
    own: OwnListeners
    delay_acknowledgement: bool


class Upstream:
    """Dial for the clients of one route. Holds no socket of its own; dials and their owners do.

    Attributes:
        endpoints: what there is to dial; each lives as long as it is in use somewhere.
        timeout: how long a dial may take as a whole, in seconds.
        credentials: what proves both ends of a tunnel; None where the upstream is dialled in the clear.
        queue: which dials are under way, wait or rest.
        now: the clock's time.
    """

    def __init__(
        self, route: Route, context: DialContext, *, timeout: float, credentials: Credentials | None = None,
        policy: Policy = first,
    ) -> None:  # fmt: skip
        self.route = route
        self.context = context
        self.endpoints = tuple(ServedEndpoint(route.name, endpoint) for endpoint in route.endpoints)
        self.timeout = timeout
        self.credentials = credentials
        self.now = context.clock.time
        self.queue = DialQueue(context.clock, context.deadlines)
        self._policy = policy

    def dial(self, owner: DialOwner) -> Dial:
        """Begin a dial. Its answer may come before this returns only if it is a failure."""
        dial = Dial(self, owner, self.now())
        self.queue.enter(dial)
        return dial

    def round(self) -> list[ServedEndpoint]:
        """Return the endpoints of one round, in the order in which to try them."""
        return self._policy(self.endpoints)
