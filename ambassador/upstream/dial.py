"""One dial: rounds over an upstream's endpoints, until one is connected or there is no time left.

A state machine of callbacks, not a task: what a connection costs to set up decides how this compares with proxies
written in C. In each state of `DialState` but the last exactly one deadline stands.
"""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from ambassador.metrics import End
from ambassador.upstream.attempt import PASSING, Attempt, end_of

if TYPE_CHECKING:
    import socket

    from ambassador.relay import Leg
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.upstream import Upstream

# A step that had less than this when time ran out says nothing: what earlier ones said is the reason.
_TOO_SHORT = 0.1
# Docker rewrites the hosts file in microseconds: five looks are far more than enough.
_REWRITE_LOOKS = 5
_REWRITE_PAUSE = 0.01


class DialState(IntEnum):
    """What a dial waits for."""

    QUEUED = 0  # a slot among the upstream's dials
    RESOLVING = 1  # the name service, or the hosts file
    CONNECTING = 2  # the outcome of connect(2)
    SHAKING_HANDS = 3  # the other end of the tunnel
    RESTING = 4  # the next round
    OVER = 5  # nothing: it was answered or cancelled


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


class Dial:
    """Dial an upstream for one client. Owned by the upstream until it answers or is cancelled."""

    __slots__ = (
        "_addresses", "_attempt", "_endpoint", "_left", "_looks", "_owner", "_passing", "_since", "_tried",
        "_upstream", "deadline", "end", "error", "holds_slot", "state",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, owner: DialOwner, now: float) -> None:
        self.state = DialState.QUEUED
        self.deadline = now + upstream.timeout
        self.end, self.error = End.CONNECT_TIMEOUT, "no answer in time"
        self.holds_slot = False
        self._upstream = upstream
        self._owner: DialOwner | None = owner
        self._left: list[ServedEndpoint] = []
        self._endpoint: ServedEndpoint | None = None
        self._addresses: list[str] = []
        self._attempt: Attempt | None = None
        self._looks = 0
        self._passing = self._tried = False
        self._since = now

    @property
    def over(self) -> bool:
        """Tell whether it was answered or cancelled."""
        return self._owner is None

    @property
    def connecting(self) -> socket.SocketType | None:
        """The socket that is being connected at the moment."""
        return self._attempt.socket if self._attempt is not None else None

    def start_round(self) -> None:
        """Try every endpoint once, in the order of the policy. The caller has given this dial a slot."""
        self._left = self._upstream.round()
        self._addresses = []
        self._passing = False
        self._try_next()

    def hand_over(self) -> bool:
        """Answer at once if the connection is there already, though no event has said so yet; tell whether it was.

        For a client that is gone: what it sent before still reaches the upstream, and then the reset.
        """
        return self._attempt is not None and self._attempt.hand_over()

    def cancel(self) -> None:
        """End the dial without an answer. Closes its socket."""
        self._drop_attempt()
        self._end()

    def refuse(self, error: str) -> None:
        """End the dial because it must not succeed."""
        self._drop_attempt()
        self._note(End.CONNECT_FAILED, error)
        self._fail()

    def expire(self) -> None:
        """Go on after the deadline of the present step: with the next address, or with the bad news."""
        now = self._upstream.now()
        late = now >= self.deadline
        if not self.holds_slot or (late and self._tried and now - self._since < _TOO_SHORT):
            self._drop_attempt()
            self._fail()
            return
        self._note_lateness()
        self._drop_attempt()
        if late:
            self._fail()
        else:
            self._passing = True
            self._try_next()

    def _note_lateness(self) -> None:
        attempt = self._attempt
        if attempt is None:
            name = self._endpoint.host if self._endpoint is not None else ""
            self._note(End.CONNECT_UNRESOLVED, f"{name}: no answer from the name service in time")
        elif attempt.shaking_hands:
            self._note(End.HANDSHAKE_FAILED, f"{attempt.address}: the handshake timed out")
        else:
            self._note(End.CONNECT_TIMEOUT, f"{attempt.address}: no answer in time")

    def _try_next(self) -> None:
        """Try the addresses that are left, one after the other, until one is being connected or none is left."""
        try:
            while self._owner is not None:
                if self._addresses:
                    if self._connect(self._addresses.pop(0)):
                        return
                elif self._left:
                    self._choose(self._left.pop(0))
                    if self._look_up():
                        return
                elif self._passing:
                    self._choose(None)
                    self.state = DialState.RESTING
                    self._upstream.queue.back_off(self)
                    return
                else:
                    self._fail()
                    return
        except Exception as error:  # noqa: BLE001 - a dial ends here, the process does not
            self._drop_attempt()
            owner = self._owner
            self._end()
            if owner is not None:
                owner.dial_broke(error)

    def _choose(self, endpoint: ServedEndpoint | None) -> None:
        """Count for this endpoint, and no longer for the one before."""
        if self._endpoint is not None:
            self._endpoint.live -= 1
        if endpoint is not None:
            endpoint.live += 1
            self._looks = 0
        self._endpoint = endpoint
        self._attempt = None  # at the one before: what comes next is no fault of its address

    def _look_up(self) -> bool:
        """Find the addresses of the chosen endpoint. Tell whether the answer is still to come."""
        endpoint = self._endpoint
        assert endpoint is not None  # noqa: S101 - just chosen
        resolver = self._upstream.context.resolver
        if endpoint.hosts_alias is not None:
            linked = resolver.linked(endpoint.hosts_alias)
            if linked is None and self._looks < _REWRITE_LOOKS:
                self._looks += 1
                self._upstream.context.clock.call_later(_REWRITE_PAUSE, self._look_again, endpoint)
                self._wait(DialState.RESOLVING)
                return True
            if linked:
                self._resolved(endpoint, linked)
                return False
        if endpoint.literal:
            self._addresses.append(endpoint.host)
            return False
        self._wait(DialState.RESOLVING)
        resolver.lookup(endpoint.host, lambda found, reason: self._looked_up(endpoint, found, reason))
        return True

    def _waits_for(self, endpoint: ServedEndpoint) -> bool:
        """Tell whether it still waits for addresses of *endpoint*: it may have gone on without them."""
        return self.state is DialState.RESOLVING and self._endpoint is endpoint

    def _look_again(self, endpoint: ServedEndpoint) -> None:
        if self._waits_for(endpoint) and not self._look_up():
            self._try_next()

    def _looked_up(self, endpoint: ServedEndpoint, found: tuple[str, ...], reason: str | None) -> None:
        if not self._waits_for(endpoint):
            return
        if found:
            self._resolved(endpoint, found)
        else:
            self._passing = True
            self._note(End.CONNECT_UNRESOLVED, f"{endpoint.host}: {reason}")
        self._try_next()

    def _resolved(self, endpoint: ServedEndpoint, found: tuple[str, ...]) -> None:
        self._addresses = list(found)
        endpoint.health.resolved(found)

    def _wait(self, state: DialState) -> None:
        """Wait, for no longer than a share of the time left: a black hole never hides a live endpoint behind it."""
        self.state = state
        self._since = now = self._upstream.now()
        shares = 1 + len(self._addresses) + len(self._left)
        self._upstream.context.deadlines.set(self, now + (self.deadline - now) / shares)

    def _connect(self, host: str) -> bool:
        """Begin to connect. Tell whether the outcome is still to come."""
        upstream, context, endpoint = self._upstream, self._upstream.context, self._endpoint
        assert endpoint is not None  # noqa: S101 - whose address this is
        self._attempt = attempt = Attempt(host, endpoint, context.poller, upstream.credentials, self)
        if context.own.listens_at(host, endpoint.port):
            self._note(End.CONNECT_FAILED, context.own.refusal(upstream.route, attempt.address))
            return False
        error_number = attempt.start(delay_acknowledgement=context.delay_acknowledgement)
        if error_number:
            self._note_miss(error_number)
            return False
        self._wait(DialState.CONNECTING)
        return True

    def connected(self, leg: Leg) -> None:
        """Answer: the attempt brought a leg."""
        owner, endpoint, attempt = self._owner, self._endpoint, self._attempt
        assert owner is not None and endpoint is not None and attempt is not None  # noqa: S101, PT018 - it is theirs
        self._endpoint = self._attempt = None  # counted on, by the owner
        self._end()
        endpoint.health.reached()
        self._upstream.queue.answered()
        owner.dialled(leg, attempt.address, endpoint)

    def missed(self, error_number: int) -> None:
        """Go on: nobody was reached at that address."""
        self._note_miss(error_number)
        self._try_next()

    def handshake_begins(self) -> None:
        """Give the handshake a share of the time of its own."""
        self._wait(DialState.SHAKING_HANDS)

    def handshake_failed(self, reason: str) -> None:
        """Go on: whoever accepted there did not prove itself."""
        assert self._attempt is not None  # noqa: S101 - whose handshake this was
        self._note(End.HANDSHAKE_FAILED, f"{self._attempt.address}: {reason}")
        self._try_next()

    def _note_miss(self, error_number: int) -> None:
        assert self._attempt is not None  # noqa: S101 - which it was
        self._passing = self._passing or error_number in PASSING
        self._note(end_of(error_number), f"{self._attempt.address}: {os.strerror(error_number)}")

    def _note(self, end: End, error: str) -> None:
        self.end, self.error = end, error
        self._tried = True
        if self._endpoint is not None:
            self._endpoint.health.missed(error)

    def _drop_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    def _fail(self) -> None:
        owner = self._owner
        self._end()
        if owner is not None:
            owner.dial_failed(self.end, self.error)

    def _end(self) -> None:
        """Be over, and leave nothing behind."""
        self._owner = None
        self.state = DialState.OVER
        self._choose(None)  # nor an attempt, which knows this dial: what is left holds no circle
        self._upstream.queue.leave(self)
