"""One route's upstream: its endpoints, and what dials them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from ambassador.upstream.balance import first
from ambassador.upstream.dial import Dial
from ambassador.upstream.endpoint import ServedEndpoint
from ambassador.upstream.queue import DialQueue
from ambassador.upstream.trial import SILENT_AFTER

if TYPE_CHECKING:
    from ambassador.config.routes import Route
    from ambassador.metrics import End
    from ambassador.net.clock import Clock
    from ambassador.net.deadlines import Deadlines
    from ambassador.net.poller import Poller
    from ambassador.relay import Leg
    from ambassador.tunnel import Credentials
    from ambassador.upstream.balance import Policy
    from ambassador.upstream.resolve import Resolver


class OwnListeners(Protocol):
    """Where this very process listens: an upstream there would be a circle."""

    def listens_at(self, host: str, port: int) -> bool:
        """Tell whether the IP address *host* and *port* lead to a listener of this process."""

    def refusal(self, route: Route, address: str) -> str:
        """Say in the log, once a route, that *route* leads to *address*, which is ours; return the reason."""


log = structlog.get_logger()


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


class DialOwner(Protocol):
    """Who asked for a dial, and gets exactly one answer unless it cancels.

    After `dialled` the leg, its socket and one of the endpoint's `live` are the owner's to give back; after a failure
    nothing is left.
    """

    def dialled(self, leg: Leg, address: str, endpoint: ServedEndpoint) -> None:
        """Take over the upstream's leg: connected, registered with the poller, its handshake done if there is one.

        The server may not know yet that it is connected: first bytes tell it, and `tcp.acknowledge` makes sure.
        """

    def dial_failed(self, end: End, error: str) -> None:
        """Take note that there is no connection, with the `end` of the access log and a reason."""

    def dial_broke(self, error: Exception) -> None:
        """Take note that there is no connection because of an error of our own."""


class Upstream:
    """Dial for the clients of one route. Holds no socket of its own; dials and their owners do.

    Attributes:
        endpoints: what there is to dial; each lives as long as it is in use somewhere.
        single: there is but one of them, so that nobody else is kept waiting by it.
        timeout: how long a dial may take as a whole, in seconds.
        eject: seconds for which what was missed stands back, at the least; 0 for never.
        credentials: what proves both ends of a tunnel; None where the upstream is dialled in the clear.
        queue: which dials are under way, wait or rest.
        now: the clock's time.
    """

    def __init__(
        self, route: Route, context: DialContext, *, timeout: float, eject: float = 1.0,
        credentials: Credentials | None = None, policy: Policy = first,
    ) -> None:  # fmt: skip
        self.route = route
        self.context = context
        self.endpoints = tuple(ServedEndpoint(route.name, endpoint) for endpoint in route.endpoints)
        self.timeout = timeout
        self.eject = eject
        self.credentials = credentials
        self.now = context.clock.time
        self.queue = DialQueue(context.clock, context.deadlines)
        self._policy = policy
        self.single = len(self.endpoints) == 1

    def dial(self, owner: DialOwner) -> Dial:
        """Begin a dial. Its answer may come before this returns only if it is a failure."""
        dial = Dial(self, owner, self.now())
        self.queue.enter(dial)
        return dial

    def round(self) -> tuple[list[ServedEndpoint], ServedEndpoint | None]:
        """Return the endpoints of one round, in the order in which to try them; those that stand back come last.

        And the one of them that was missed last and that this round is to try, or None.
        """
        if self.single:
            return [*self.endpoints], None
        endpoints = self._policy(self.endpoints)
        now, trial = self.now(), None
        in_place, back = [], []
        for endpoint in endpoints:
            if endpoint.ejection.ejected and (trial is not None or endpoint.ejection.stands_back(now)):
                back.append(endpoint)
            else:
                in_place.append(endpoint)
                trial = endpoint if endpoint.ejection.ejected else trial
        return [*in_place, *back], trial

    def patience(self, seconds: float, others: int, rounds: int) -> float:
        """Return for how many of the *seconds* that are left somebody may be silent if *others* come after.

        So that what is silent never hides a live endpoint behind it from a client that waits for three seconds.
        """
        share = seconds / (1 + others) if others else seconds
        if not self.single:
            share = min(share, SILENT_AFTER * 2.0 ** min(rounds - 1, 10))
        return share

    def reached(self, endpoint: ServedEndpoint) -> None:
        """Take note that an endpoint answers."""
        if not self.single:
            endpoint.ejection.reached(self.now())
        endpoint.health.reached()
        self.queue.answered()

    def missed(self, endpoint: ServedEndpoint, error: str, *, silent: bool) -> None:
        """Take note that no address of an endpoint answered; *silent*: it cost seconds to find that out."""
        endpoint.health.missed(error)
        if self.eject and not self.single:
            seconds = endpoint.ejection.missed(self.now(), self.eject, silent=silent)
            if seconds:
                log.warning(
                    "endpoint.ejected",
                    route=self.route.name,
                    endpoint=endpoint.name,
                    seconds=round(seconds, 3),
                    reason=error,
                )
