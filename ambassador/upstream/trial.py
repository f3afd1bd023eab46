"""Ask an endpoint that stands back whether it answers again, beside the client that was to try it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.upstream.attempt import SHORTAGES
from ambassador.upstream.farewell import part
from ambassador.upstream.race import attempt_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.relay import Leg
    from ambassador.upstream.attempt import Trying
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.lookup import Lookup
    from ambassador.upstream.upstream import Upstream

# Seconds that a client waits for an endpoint that was missed last, before it goes on to the next.
PATIENCE = 0.25
# Seconds after which silence is silence: a lost SYN is repeated after one.
SILENT_AFTER = 2.0


class Trial:
    """Take over what a dial has begun and gone on without, learn what comes of it, and end it in order.

    Owned by the attempt or the look-up, and by the deadline that it sets for each step.
    """

    def __init__(
        self, endpoint: ServedEndpoint, upstream: Upstream, attempt: Trying | None, lookup: Lookup | None
    ) -> None:
        self._endpoint = endpoint
        self._upstream = upstream
        self._attempt = attempt
        self._lookup = lookup
        if attempt is not None:
            attempt.owner = self
        if lookup is not None:
            lookup.owner = self
        self._wait()

    def looked_up(self, addresses: Sequence[str], reason: str | None) -> None:
        """Go on with the answer of the name service."""
        endpoint, self._lookup = self._endpoint, None
        self._wait()
        if not addresses:
            self._miss(f"{endpoint.host}: {reason}", silent=False)
            return
        endpoint.health.resolved(addresses)
        attempt = attempt_at(addresses, endpoint, self._upstream, self)
        if isinstance(attempt, str):
            self._miss(attempt, silent=False)
        elif error_number := attempt.start():
            self.missed(attempt, error_number)
        else:
            self._attempt = attempt

    def connected(self, _attempt: Trying, leg: Leg) -> None:
        """Let the endpoint stand in its place again. Nobody is there for the connection: it is ended by FIN."""
        self._upstream.context.deadlines.clear(self)
        part(leg.socket, self._upstream.context)
        self._upstream.reached(self._endpoint)

    def missed(self, attempt: Trying, error_number: int) -> None:
        """Have the endpoint stand back for longer, unless it is this machine that is short of something."""
        if error_number in SHORTAGES:
            self._upstream.context.deadlines.clear(self)
            self._endpoint.ejection.untried()
        else:
            self._miss(attempt.reason(error_number), silent=False)

    def handshake_begins(self, _attempt: Trying) -> None:
        """Wait on: who accepts has yet to prove itself."""
        self._wait()

    def handshake_failed(self, attempt: Trying, reason: str) -> None:
        """Have the endpoint stand back for longer."""
        self._miss(f"{attempt.address}: {reason}", silent=False)

    def expire(self) -> None:
        """Have the endpoint stand back for longer: it is silent."""
        where = self._endpoint.host
        if self._upstream.context.deadlines.slept:
            self._wait()
            return
        if self._attempt is not None:
            if self._attempt.pass_over():
                self._wait()
                return
            self._attempt.abandon()
            where = self._attempt.address
        if self._lookup is not None:
            self._lookup.cancel()
        self._miss(f"{where}: no answer in time", silent=True)

    def _wait(self) -> None:
        self._upstream.context.deadlines.set(self, self._upstream.now() + SILENT_AFTER)

    def _miss(self, error: str, *, silent: bool) -> None:
        self._upstream.context.deadlines.clear(self)
        self._upstream.missed(self._endpoint, error, silent=silent)
