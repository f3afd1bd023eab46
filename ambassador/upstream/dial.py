"""One dial: rounds over an upstream's endpoints, until one is connected or there is no time left.

A state machine of callbacks, not a task: what a connection costs to set up decides how this compares with proxies
written in C. In each state of `DialState` but the last exactly one deadline stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.metrics import End
from ambassador.upstream.attempt import PASSING, SHORTAGES, end_of, silence_of
from ambassador.upstream.lookup import Lookup
from ambassador.upstream.queue import HANGS_AFTER, DialState
from ambassador.upstream.race import attempt_at
from ambassador.upstream.trial import PATIENCE, Trial

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ambassador.relay import Leg
    from ambassador.upstream.attempt import Trying
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.upstream import DialOwner, Upstream

# A step that had less than this, with little time left, says nothing: what earlier ones said is the reason.
_TOO_SHORT = 0.1
# What a dial gets whose deadline passed while the whole process was stopped.
_ONE_MORE_TRY = 2.0


class Dial:
    """Dial an upstream for one client. Owned by the upstream until it answers or is cancelled."""

    __slots__ = (
        "_attempt", "_endpoint", "_left", "_lookup", "_owner", "_passing", "_rounds", "_since", "_trial",
        "_tried", "_upstream", "client_ended", "client_silent", "deadline", "end", "error", "holds_slot", "state",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, owner: DialOwner, now: float) -> None:
        self.state, self.holds_slot = DialState.QUEUED, False
        self.deadline, self._since, self._rounds = now + upstream.timeout, now, 0
        self.end, self.error = End.CONNECT_TIMEOUT, "no answer in time"
        self._upstream = upstream
        self._owner: DialOwner | None = owner
        self._left: list[ServedEndpoint] = []
        self._endpoint: ServedEndpoint | None = None
        self._attempt: Trying | None = None
        self._trial: ServedEndpoint | None = None
        self._lookup: Lookup | None = None
        self._passing = self._tried = self.client_ended = self.client_silent = False

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
        self._left, self._trial = self._upstream.round()
        self._rounds += 1
        self._passing = False
        self._try_next()

    def hand_over(self) -> bool:
        """Answer at once if the connection is there already, for a client that is gone; tell whether it was."""
        return self._attempt is not None and self._attempt.hand_over()

    def client_ends(self, *, silent: bool = False) -> None:
        """Take note that the client's stream has ended: while nobody answers it is dialled for last, and briefly."""
        self.client_ended, self.client_silent = True, silent
        if self.state is DialState.RESTING:
            self._upstream.queue.set_aside(self)
        elif self._is_set_aside():
            self._upstream.context.deadlines.set(self, min(self._since + HANGS_AFTER, self.deadline))

    def cancel(self) -> None:
        """End the dial without an answer. Closes its socket."""
        self._drop_step()
        self._end()

    def refuse(self, error: str) -> None:
        """End the dial because it must not succeed."""
        self._drop_step()
        self._miss(End.CONNECT_FAILED, error, silent=False)
        self._fail()

    def expire(self) -> None:
        """Go on after the deadline of the present step: with the next endpoint, or with the bad news."""
        late = self._upstream.now() >= self.deadline
        if self._upstream.context.deadlines.slept:
            self._step_again(late=late)
        elif not self.holds_slot:
            self._fail()
        elif late:
            self._give_way()
            self._fail()
        elif self._left and self._trial is not None and self._endpoint is self._trial:
            Trial(self._trial, self._upstream, self._attempt, self._lookup)
            self._attempt = self._lookup = self._trial = None
            self._passing = True
            self._try_next()
        elif self._attempt is not None and self._attempt.pass_over():
            self._wait(DialState.CONNECTING)
        elif self._is_set_aside():
            self._note_silence()
            self._drop_step()
            self._rest()
        else:
            self._give_way()
            self._try_next()

    def _step_again(self, *, late: bool) -> None:
        """Give the step its time anew: the whole process was stopped meanwhile (a paused container, a debugger)."""
        if late:
            self.deadline = self._upstream.now() + _ONE_MORE_TRY
        if self.holds_slot:
            self._wait(self.state)
        else:
            self._upstream.queue.enter_again(self)

    def _is_set_aside(self) -> bool:
        """Tell whether it is to rest for silence, which others wait out: its client's stream has ended."""
        last = self.state is DialState.CONNECTING and not self._left
        return self.client_ended and last and not self._upstream.queue.has_turn(self)

    def _give_way(self) -> None:
        """Count the endpoint as missed: it was silent for its share of the time, if that was worth the name."""
        if not self._tried or self._upstream.now() - self._since >= _TOO_SHORT:
            self._note_silence()
            self._miss(self.end, self.error, silent=True)
            if self._attempt is not None:
                self._attempt.abandon()
        self._passing = True
        self._drop_step()

    def _note_silence(self) -> None:
        self._passing = self._tried = True
        self.end, self.error = silence_of(self._attempt, self._endpoint.host if self._endpoint else "")

    def _try_next(self, addresses: Sequence[str] = ()) -> None:
        """Try *addresses*, then the endpoints that are left, until one is under way or none is left."""
        try:
            while self._owner is not None:
                if addresses:
                    if self._connect(addresses):
                        return
                    addresses = ()
                elif self._left:
                    self._choose(self._left.pop(0))
                    addresses = self._look_up()
                    if not addresses:
                        return
                else:
                    (self._rest if self._passing else self._fail)()
                    return
        except Exception as error:  # noqa: BLE001 - a dial ends here, the process does not
            owner = self._owner
            self.cancel()
            if owner is not None:
                owner.dial_broke(error)

    def _rest(self) -> None:
        """Wait for the next round."""
        self._choose(None)
        self.state = DialState.RESTING
        self._upstream.queue.back_off(self)

    def _choose(self, endpoint: ServedEndpoint | None) -> None:
        """Count for this endpoint, and no longer for the one before; for none, let others try what it was to try."""
        if self._endpoint is not None:
            self._endpoint.live -= 1
        self._endpoint = endpoint
        if endpoint is not None:
            endpoint.live += 1
        elif self._trial is not None:
            self._trial.ejection.untried()
            self._trial = None

    def _look_up(self) -> Sequence[str]:
        """Find the addresses of the chosen endpoint; return none if the answer is still to come."""
        endpoint = self._endpoint
        assert endpoint is not None  # noqa: S101 - just chosen
        if endpoint.literal and endpoint.hosts_alias is None:
            return (endpoint.host,)
        self._lookup = Lookup(endpoint, self._upstream.context.resolver, self._upstream.context.clock, self)
        found = self._lookup.start()
        if found:
            self._lookup = None
            endpoint.health.resolved(found)
        else:
            self._wait(DialState.RESOLVING)
        return found

    def looked_up(self, addresses: Sequence[str], reason: str | None) -> None:
        """Go on with the answer of the name service."""
        assert self._endpoint is not None  # noqa: S101 - whose addresses these are
        self._lookup = None
        if addresses:
            self._endpoint.health.resolved(addresses)
        else:
            self._passing = True
            self._miss(End.CONNECT_UNRESOLVED, f"{self._endpoint.host}: {reason}", silent=False)
        self._try_next(addresses)

    def _wait(self, state: DialState) -> None:
        """Wait, for no longer than a fair share of the time left."""
        upstream, attempt, others = self._upstream, self._attempt, len(self._left)
        self.state = state
        self._since = now = upstream.now()
        if state is DialState.SHAKING_HANDS and attempt is not None:
            others += attempt.others
        patience = self.deadline - now
        if others or not upstream.single:
            patience = upstream.patience(patience, others, self._rounds)
        if self._left and self._endpoint is self._trial:
            patience = min(patience, PATIENCE)
        elif self.client_ended and self._is_set_aside():
            patience = min(patience, HANGS_AFTER)
        upstream.context.deadlines.set(self, now + patience)

    def _connect(self, addresses: Sequence[str]) -> bool:
        """Begin to connect. Tell whether the outcome is still to come."""
        upstream, endpoint = self._upstream, self._endpoint
        assert endpoint is not None  # noqa: S101 - whose addresses these are
        attempt = attempt_at(addresses, endpoint, upstream, self)
        if isinstance(attempt, str):
            self._miss(End.CONNECT_FAILED, attempt, silent=False)
        elif error_number := attempt.start():
            self._note_miss(attempt, error_number)
        else:
            self._attempt = attempt
            self._wait(DialState.CONNECTING)
        return self._attempt is not None

    def connected(self, attempt: Trying, leg: Leg) -> None:
        """Answer: the attempt brought a leg."""
        owner, endpoint = self._owner, self._endpoint
        assert owner is not None and endpoint is not None  # noqa: S101, PT018 - a dial that is over has no attempt
        self._endpoint = None  # counted on, by the owner
        self._end()
        self._upstream.reached(endpoint)
        owner.dialled(leg, attempt.address, endpoint)

    def missed(self, attempt: Trying, error_number: int) -> None:
        """Go on: nobody was reached at that address."""
        self._attempt = None
        self._note_miss(attempt, error_number)
        self._try_next()

    def handshake_begins(self, _attempt: Trying) -> None:
        """Give the handshake a share of the time of its own."""
        self._wait(DialState.SHAKING_HANDS)

    def handshake_failed(self, attempt: Trying, reason: str) -> None:
        """Go on: whoever accepted there did not prove itself."""
        self._attempt = None
        self._miss(End.HANDSHAKE_FAILED, f"{attempt.address}: {reason}", silent=False)
        self._try_next()

    def _note_miss(self, attempt: Trying, error_number: int) -> None:
        self._passing = self._passing or error_number in PASSING
        self._miss(end_of(error_number), attempt.reason(error_number), silent=False, ours=error_number in SHORTAGES)

    def _miss(self, end: End, error: str, *, silent: bool, ours: bool = False) -> None:
        """Take note that the chosen endpoint was missed; *ours*: for want of something here."""
        self.end, self.error, self._tried = end, error, True
        if self._endpoint is not None and ours:
            self._endpoint.health.missed(error)
        elif self._endpoint is not None:
            self._trial = None if self._trial is self._endpoint else self._trial
            self._upstream.missed(self._endpoint, error, silent=silent)

    def _drop_step(self) -> None:
        """End what is under way for this dial."""
        for step in (self._attempt, self._lookup):
            if step is not None:
                step.cancel()
        self._attempt = self._lookup = None

    def _fail(self) -> None:
        owner = self._owner
        self._end()
        if owner is not None:
            owner.dial_failed(self.end, self.error)

    def _end(self) -> None:
        """Be over, and leave nothing behind."""
        self._owner = None
        self.state = DialState.OVER
        self._choose(None)
        self._attempt = None  # which knows this dial: what is left holds no circle
        self._upstream.queue.leave(self)
