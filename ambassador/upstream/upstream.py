"""One route's upstream: its endpoints, how they fare, and how many dials it gets at once."""

from __future__ import annotations

import itertools
import random
from collections import deque
from typing import TYPE_CHECKING

import structlog

from ambassador.net.address import is_ip
from ambassador.upstream.dial import Dial, DialOwner
from ambassador.upstream.health import watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ambassador.config.routes import Route
    from ambassador.net.deadlines import Deadlines
    from ambassador.net.poller import Poller
    from ambassador.tunnel import Credentials
    from ambassador.upstream.resolve import Resolver

log = structlog.get_logger()

# As many as a usual backlog takes (listen(2): 128 for long): more would only fall out of the upstream's queue.
MAX_DIALS = 128
# A dial that took this long, in seconds, has met silence: a look-up or a handshake that hangs, or no answer to a SYN.
_HANGS_AFTER = 0.5
# An upstream that refuses is asked again soon, for it is mostly about to start; then by and by once a second.
_FIRST_REST = 0.05
_LONGEST_REST = 1.0
# When it answers again, those who waited come back in groups of this many, not all at once.
_WOKEN_AT_ONCE = 16
_WAKE_PAUSE = 0.01


class Upstream:
    """Dial for the clients of one route.

    At most `MAX_DIALS` dials are under way; the others wait their turn, each with its own deadline. A dial that hangs
    does not count for long: where nobody answers there is no queue to spare, and those who wait may be let in to an
    endpoint that lives. A client whose dial found nobody rests; while any rest, one of them at a time dials again, with
    growing pauses, and the first dial that gets through wakes the others. So the waiting clients of a dead upstream
    cost it one dial a second.
    """

    def __init__(
        self, route: Route, *, timeout: float, poller: Poller, deadlines: Deadlines, resolver: Resolver,
        is_own: Callable[[str, int], bool], credentials: Credentials | None, delay_acknowledgement: bool,
    ) -> None:  # fmt: skip
        self.route = route
        self.endpoints = route.endpoints
        self.literal = tuple(is_ip(endpoint.address.host) for endpoint in route.endpoints)
        self.timeout = timeout
        self.poller = poller
        self.loop = poller.loop
        self.now = poller.loop.time
        self.deadlines = deadlines
        self.resolver = resolver
        self.is_own = is_own
        self.credentials = credentials
        # Not where siblings accept, too: of dials that come back, a process that need not wait for the acknowledgement
        # accepts most itself, in the very turn in which it dialled, and so finds the circle after a few rounds.
        self.delay_acknowledgement = delay_acknowledgement
        self.health = watch(route.name, route.endpoints)
        self._under_way = 0
        self._places: dict[Dial, float] = {}  # who was let in lately, and when
        self._reliever: asyncio.TimerHandle | None = None
        self._queue: deque[Dial] = deque()
        self._resting: dict[Dial, None] = {}
        self._admitting = False
        self._rests = 0
        self._waker: asyncio.TimerHandle | None = None
        self._waking_all = False
        self._own_dial_logged = False

    def dial(self, owner: DialOwner) -> Dial:
        """Begin a dial. Its answer may come before this returns only if it is a failure."""
        dial = Dial(self, owner, self.now())
        self._admit(dial)
        return dial

    def dials(self) -> int:
        """Count the dials that have not been answered."""
        return self._under_way + len(self._resting) + sum(dial.owner is not None for dial in self._queue)

    def rest(self, dial: Dial) -> None:
        """Let a dial whose round found nobody wait for the next one."""
        self._leave(dial)
        self._resting[dial] = None
        self.deadlines.set(dial, dial.deadline)
        if self._waker is None:
            self._set_waker(self._pause())

    def dial_over(self, dial: Dial) -> None:
        """Forget a dial that was answered or cancelled."""
        self.deadlines.clear(dial)
        self._resting.pop(dial, None)
        self._leave(dial)

    def reached(self, endpoint: int) -> None:
        """Take note of a dial that got through: those who rest may try again."""
        self.health[endpoint].reached()
        self._rests = 0
        if self._resting and not self._waking_all:
            self._set_waker(_WAKE_PAUSE)
            self._waking_all = True

    def own_dial(self, address: str) -> str:
        """Say, in the log once, that *address* is a listener of this process; return the reason for the access log."""
        reason = f"{address} is a listener of this ambassador itself"
        if not self._own_dial_logged:
            self._own_dial_logged = True
            log.error("route.dials_itself", route=self.route.name, address=address, variable=self.route.source)
        return reason

    def _admit(self, dial: Dial) -> None:
        if len(self._places) < MAX_DIALS:
            self._under_way += 1
            self._places[dial] = self.now()
            dial.holds_place = True
            dial.start_round()
        else:
            self._queue.append(dial)
            self.deadlines.set(dial, dial.deadline)
            self._relieve_later()

    def _leave(self, dial: Dial) -> None:
        """Give the dial's place to the next in the queue."""
        if not dial.holds_place:
            return
        dial.holds_place = False
        self._under_way -= 1
        self._places.pop(dial, None)
        if self._queue:
            self._admit_queued()

    def _admit_queued(self) -> None:
        if self._admitting:
            return  # further up the stack: dials that fail on the spot must not nest
        self._admitting = True
        try:
            while self._queue and len(self._places) < MAX_DIALS:
                waiting = self._queue.popleft()
                if waiting.owner is not None:
                    self._admit(waiting)
        finally:
            self._admitting = False

    def _relieve_later(self) -> None:
        if self._reliever is None:
            self._reliever = self.loop.call_later(_HANGS_AFTER / 4, self._relieve)

    def _relieve(self) -> None:
        """Count dials that hang no longer, so that those in the queue have their turn."""
        self._reliever = None
        hangs = self.now() - _HANGS_AFTER
        for dial in [dial for dial, since in self._places.items() if since <= hangs]:
            del self._places[dial]
        self._admit_queued()
        if self._queue:
            self._relieve_later()

    def _pause(self) -> float:
        """Return how long to let the upstream be, in seconds, with jitter."""
        pause = min(_LONGEST_REST, _FIRST_REST * 2.0 ** min(self._rests, 10))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def _set_waker(self, delay: float) -> None:
        if self._waker is not None:
            self._waker.cancel()
        self._waker = self.loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        """Let the one who has rested longest dial again, or a group of them when the upstream is known to answer."""
        self._waker = None
        answers, self._waking_all = self._waking_all, False
        if not answers:
            self._rests += 1
        woken = list(itertools.islice(self._resting, _WOKEN_AT_ONCE if answers else 1))
        for dial in woken:
            del self._resting[dial]
        if self._resting:
            self._set_waker(self._pause())
        for dial in woken:
            self._admit(dial)
