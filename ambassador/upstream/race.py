"""The addresses of one name, raced: whoever accepts first is taken (Happy Eyeballs, RFC 8305, section 5).

TCP connects are raced, handshakes are not: the first address that accepts has to prove itself, and only if it does not
the others have their turn again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ambassador.net.address import written
from ambassador.upstream.attempt import PASSING, SHORTAGES, Attempt

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ambassador.net.clock import Timer
    from ambassador.relay import Leg
    from ambassador.upstream.attempt import AttemptOwner, Trying
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.upstream import Upstream

# Seconds from one address to the next: RFC 8305's Connection Attempt Delay, and the most that it may grow to. More
# would be the time of a connect whose SYN was lost.
DELAY = 0.25
_LONGEST_DELAY = 2.0
# An address that was passed by after this long was silent: the delay, but for the rounding of two clock readings.
_SILENT_AFTER = 0.9 * DELAY


def attempt_at(
    addresses: Sequence[str], endpoint: ServedEndpoint, upstream: Upstream, owner: AttemptOwner[Trying]
) -> Trying | str:
    """Return an attempt at the addresses of an endpoint, or a race; the reason if all are listeners of our own."""
    own, port = upstream.context.own, endpoint.port
    if len(addresses) == 1 and not own.listens_at(addresses[0], port):
        return Attempt(addresses[0], endpoint, upstream, owner)
    hosts = [host for host in addresses if not own.listens_at(host, port)]
    if len(hosts) > 1:
        attempt: Trying = Race(hosts, endpoint, upstream, owner)
    elif hosts:
        attempt = Attempt(hosts[0], endpoint, upstream, owner)
    if len(hosts) < len(addresses):
        refused = next(host for host in addresses if host not in hosts)
        reason = own.refusal(upstream.route, written(refused, port))  # which says it in the log
    return attempt if hosts else reason


class Race:
    """Connect to one of several addresses of an endpoint. To its owner it is like an attempt, and answers like one.

    Resource handling: as an attempt's. Of those that lose, the ones that got through are ended by FIN.

    Attributes:
        owner: who is told.
        address: the one that was reached, or whose failure is the race's.
    """

    __slots__ = ("_endpoint", "_errno", "_left", "_running", "_timer", "_upstream", "_winner", "address", "owner")

    def __init__(
        self, hosts: Sequence[str], endpoint: ServedEndpoint, upstream: Upstream, owner: AttemptOwner[Race]
    ) -> None:
        self.owner = owner
        self.address = written(hosts[0], endpoint.port)
        self._endpoint = endpoint
        self._upstream = upstream
        self._left = endpoint.in_order(hosts, upstream.now())
        self._running: dict[Attempt, float] = {}  # since when
        self._timer: Timer | None = None
        self._winner: Attempt | None = None
        self._errno = 0

    @property
    def socket(self) -> socket.SocketType | None:
        """What was begun last and is being connected."""
        return next(reversed(self._running)).socket if self._running else None

    @property
    def shaking_hands(self) -> bool:
        """Tell whether an address has accepted, and the handshake goes on."""
        return self._winner is not None

    @property
    def others(self) -> int:
        """Count the addresses that are yet to be tried, or to be tried again."""
        return len(self._left)

    def start(self) -> int:
        """Begin with the first address; return 0, or the errno of the race if none could be begun."""
        return self._begin_next()

    def cancel(self) -> None:
        """End the race without an answer, and close its sockets."""
        for attempt in self._stop():
            attempt.cancel()

    def abandon(self) -> None:
        """End the race because nobody answered in time: that is remembered of each address."""
        for attempt, since in self._running.items():
            self._remember_silence(attempt, since)
        self.cancel()

    def pass_over(self) -> bool:
        """Give the others their turn because a handshake takes too long; tell whether there were any."""
        winner = self._winner
        if winner is None or not self._left:
            return False
        self._winner = None
        self._blame(winner, silent=True)
        del self._running[winner]
        winner.cancel()
        self._begin_next()
        return bool(self._running)

    def hand_over(self) -> bool:
        """Answer at once if a connection is there already; tell whether one was."""
        return any(attempt.hand_over() for attempt in list(self._running))

    def reason(self, error_number: int) -> str:
        """Say in words which address was missed, and how."""
        return f"{self.address}: {os.strerror(error_number)}"

    def connected(self, attempt: Attempt, leg: Leg) -> None:
        """Win the race, and end the others."""
        if self._winner is None:
            self._accepted(attempt)
        self._endpoint.known(attempt.host).ejection.reached(self._upstream.now())
        del self._running[attempt]
        self._stop()
        self.owner.connected(self, leg)

    def missed(self, attempt: Attempt, error_number: int) -> None:
        """Go on with the next address at once."""
        self._winner = None
        del self._running[attempt]
        self._miss(attempt, error_number)
        error_number = self._begin_next()
        if not self._running:
            self._stop()
            self.owner.missed(self, error_number)

    def handshake_begins(self, attempt: Attempt) -> None:
        """Put the others off: whoever accepts first is to prove itself."""
        if self._winner is not attempt:  # which may begin again, by new keys
            self._accepted(attempt)
        self._winner = attempt
        self.owner.handshake_begins(self)

    def handshake_failed(self, attempt: Attempt, reason: str) -> None:
        """Go on with those that were put off."""
        self._winner = None
        self._blame(attempt, silent=False)
        del self._running[attempt]
        self._begin_next()
        if not self._running:
            self._stop()
            self.address = attempt.address
            self.owner.handshake_failed(self, reason)

    def _begin_next(self) -> int:
        """Begin with the next address that can be begun; return 0, or the errno of the race when nothing runs."""
        self._cancel_timer()
        while self._left:
            attempt = Attempt(self._left.pop(0), self._endpoint, self._upstream, self)
            error_number = attempt.start()
            if not error_number:
                self._running[attempt] = self._upstream.now()
                if self._left:
                    took = self._endpoint.known(attempt.host).connect_seconds
                    delay = min(max(DELAY, 2 * took), _LONGEST_DELAY)
                    self._timer = self._upstream.context.clock.call_later(delay, self._begin_next)
                return 0
            self._miss(attempt, error_number)
        return 0 if self._running else self._errno

    def _accepted(self, attempt: Attempt) -> None:
        """Remember how the addresses did, and end all attempts but this one; they may have another turn."""
        now, since = self._upstream.now(), self._running[attempt]
        self._endpoint.known(attempt.host).connect_seconds = now - since
        self.address = attempt.address
        self._cancel_timer()
        for other, begun in list(self._running.items()):
            if other is not attempt:
                if begun < since:
                    self._remember_silence(other, begun)
                del self._running[other]
                other.lose()
                self._left.append(other.host)

    def _miss(self, attempt: Attempt, error_number: int) -> None:
        """Remember a failure. That of the race is the last one that is worth another try, or else the last."""
        if error_number in PASSING or self._errno not in PASSING:
            self.address, self._errno = attempt.address, error_number
        if error_number in SHORTAGES:
            self._endpoint.known(attempt.host).ejection.untried()
        else:
            self._blame(attempt, silent=False)

    def _remember_silence(self, attempt: Attempt, since: float) -> None:
        if self._upstream.now() - since >= _SILENT_AFTER:
            self._blame(attempt, silent=True)

    def _blame(self, attempt: Attempt, *, silent: bool) -> None:
        """Have an address stand back."""
        if self._upstream.eject:
            known = self._endpoint.known(attempt.host)
            known.ejection.missed(self._upstream.now(), self._upstream.eject, silent=silent)

    def _stop(self) -> list[Attempt]:
        """Begin nothing any more; return what was under way."""
        self._cancel_timer()
        running = list(self._running)
        for host in [*self._left, *(attempt.host for attempt in running)]:
            self._endpoint.known(host).ejection.untried()
        self._left.clear()
        self._running.clear()
        return running

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
