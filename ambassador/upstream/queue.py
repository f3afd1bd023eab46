"""How many dials one upstream gets at once, and how it is asked again while it is down.

At most `MAX_DIALS` dials are under way; the others wait their turn, each with its own deadline. A dial that hangs does
not count for long: where nobody answers there is no queue to spare, and those who wait may be let in to an endpoint
that lives. A dial whose round found nobody backs off; while any do, one of them at a time dials again, with growing
pauses, and the first dial that gets through wakes the others. So the waiting clients of a dead upstream cost it one
dial a second. Dials whose client's stream has ended come last, two at a time: most of those clients have left, and a
server that comes back is not met by a crowd that is gone.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ambassador.net.clock import Clock, Timer
    from ambassador.net.deadlines import Deadlines

# As many as a usual backlog takes (listen(2): 128 for long): more would only fall out of the upstream's queue.
MAX_DIALS = 128
# A dial that took this long, in seconds, has met silence: a look-up or a handshake that hangs, or no answer to a SYN.
HANGS_AFTER = 0.5
# An upstream that refuses is asked again soon, for it is mostly about to start; then by and by once a second.
_FIRST_REST = 0.05
_LONGEST_REST = 1.0
# When it answers again, those who waited come back in groups of this many, not all at once.
_WOKEN_AT_ONCE = 16
_WAKE_PAUSE = 0.01
# Of dials whose client's stream has ended, so many are under way at once while others rest.
_ENDED_AT_ONCE = 2
# Seconds from one to the next of those whose client has not said a word either: a crowd of them is what MySQL and its
# kin lock a host out for, and few half-closers say nothing.
_SILENT_PAUSE = 0.5
# Seconds that they rest for. A client whose stream has ended while nobody answers has mostly left, which cannot be told
# from a half-close; a true one is reset sooner than others then.
_ENDED_PATIENCE = 2.0


class DialState(IntEnum):
    """What a dial waits for."""

    QUEUED = 0  # a slot among the upstream's dials
    RESOLVING = 1  # the name service, or the hosts file
    CONNECTING = 2  # the outcome of connect(2)
    SHAKING_HANDS = 3  # the other end of the tunnel
    RESTING = 4  # the next round
    OVER = 5  # nothing: it was answered or cancelled


class Queued(Protocol):
    """A dial, as the queue sees it.

    Attributes:
        deadline: the clock's time at which it gives up, wherever it stands.
        holds_slot: it is under way. Only the queue changes that.
        client_ended: its client's stream has ended, so that the client has perhaps left.
        client_silent: it has, and there was nothing in it.
        over: it needs nothing any more; the queue passes it by.
    """

    deadline: float
    holds_slot: bool
    client_ended: bool
    client_silent: bool

    @property
    def over(self) -> bool:
        """Tell whether it was answered or cancelled."""

    def start_round(self) -> None:
        """Try every endpoint once."""

    def expire(self) -> None:
        """Take note that its deadline has passed."""


class DialQueue:
    """Let dials in to one upstream, and wake those that rest. Keeps the deadline of those that wait or rest."""

    def __init__(self, clock: Clock, deadlines: Deadlines) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._under_way = 0
        self._slots: dict[Queued, float] = {}  # who was let in lately, and when
        self._hung_timer: Timer | None = None
        self._waiting: deque[Queued] = deque()
        self._resting: dict[Queued, None] = {}
        self._resting_ended: dict[Queued, None] = {}
        self._resting_silent: dict[Queued, None] = {}
        self._silent_due = -math.inf
        self._ended: set[Queued] = set()  # which of those were let in
        self._admitting = False
        self._rests = 0
        self._wake_timer: Timer | None = None
        self._waking_all = False

    def __len__(self) -> int:
        """Count the dials that have not been answered."""
        resting = len(self._resting) + len(self._resting_ended) + len(self._resting_silent)
        return self._under_way + resting + sum(not dial.over for dial in self._waiting)

    def enter(self, dial: Queued) -> None:
        """Start a dial, or have it wait for a slot."""
        if len(self._slots) < MAX_DIALS and not self._waiting:
            self._let_in(dial)
        else:
            self._waiting.append(dial)
            self._deadlines.set(dial, dial.deadline)
            self._set_hung_timer()

    def back_off(self, dial: Queued) -> None:
        """Let a dial whose round found nobody rest until it is woken for the next round.

        One whose client's stream has ended waits behind all others, and not for long.
        """
        self._resting.pop(dial, None)
        if dial.client_ended:
            dial.deadline = min(dial.deadline, self._clock.time() + _ENDED_PATIENCE)
            (self._resting_silent if dial.client_silent else self._resting_ended)[dial] = None
        else:
            self._resting[dial] = None
        self._deadlines.set(dial, dial.deadline)
        if self._wake_timer is None:
            self._set_wake_timer(self._pause())
        self._give_up_slot(dial)  # last: what the next one does may end this one

    def set_aside(self, dial: Queued) -> None:
        """Let a dial that rests rest behind all others from now on: its client's stream has ended."""
        if dial in self._resting:
            self.back_off(dial)

    def enter_again(self, dial: Queued) -> None:
        """Start a dial that rests out of turn, or let it keep its turn until its new deadline."""
        if dial in self._resting:
            del self._resting[dial]
            self.enter(dial)
        else:
            self._deadlines.set(dial, dial.deadline)

    def has_turn(self, dial: Queued) -> bool:
        """Tell whether a dial whose client's stream has ended was let in as one of the few."""
        return dial in self._ended

    def leave(self, dial: Queued) -> None:
        """Forget a dial that was answered or cancelled."""
        self._deadlines.clear(dial)
        if not dial.holds_slot:
            self._resting.pop(dial, None)
            self._resting_ended.pop(dial, None)
            self._resting_silent.pop(dial, None)
        self._give_up_slot(dial)

    def answered(self) -> None:
        """Take note of a dial that got through: those who rest may try again, the silent ones in their own time."""
        self._rests = 0
        if (self._resting or self._resting_ended) and not self._waking_all:
            self._set_wake_timer(_WAKE_PAUSE)
            self._waking_all = True

    def _let_in(self, dial: Queued) -> None:
        self._under_way += 1
        self._slots[dial] = self._clock.time()
        dial.holds_slot = True
        dial.start_round()

    def _give_up_slot(self, dial: Queued) -> None:
        """Give the dial's slot to the next that waits."""
        if dial.client_ended:
            self._ended.discard(dial)
        if not dial.holds_slot:
            return
        dial.holds_slot = False
        self._under_way -= 1
        self._slots.pop(dial, None)
        if self._waiting:
            self._enter_waiting()

    def _enter_waiting(self) -> None:
        if self._admitting:
            return  # further up the stack: dials that fail on the spot must not nest
        self._admitting = True
        try:
            while self._waiting and len(self._slots) < MAX_DIALS:
                dial = self._waiting.popleft()
                if not dial.over:
                    self._let_in(dial)
        finally:
            self._admitting = False

    def _set_hung_timer(self) -> None:
        if self._hung_timer is None:
            self._hung_timer = self._clock.call_later(HANGS_AFTER / 4, self._release_hung)

    def _release_hung(self) -> None:
        """Count dials that hang no longer, so that those that wait have their turn."""
        self._hung_timer = None
        hangs = self._clock.time() - HANGS_AFTER
        for dial in [dial for dial, since in self._slots.items() if since <= hangs]:
            del self._slots[dial]
        self._enter_waiting()
        if self._waiting:
            self._set_hung_timer()

    def _pause(self) -> float:
        """Return how long to let the upstream be, in seconds, with jitter."""
        pause = min(_LONGEST_REST, _FIRST_REST * 2.0 ** min(self._rests, 10))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def _set_wake_timer(self, delay: float) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._wake_timer = self._clock.call_later(delay, self._wake)

    def _wake(self) -> None:
        """Let the one who has rested longest dial again, or a group of them when the upstream is known to answer."""
        self._wake_timer = None
        answers, self._waking_all = self._waking_all, False
        if not answers:
            self._rests += 1
        most = _WOKEN_AT_ONCE if answers else 1
        woken = list(itertools.islice(self._resting, most))
        for dial in woken:
            del self._resting[dial]
        if not woken:
            woken = list(itertools.islice(self._resting_ended, min(most, _ENDED_AT_ONCE - len(self._ended))))
        if not woken and self._resting_silent and not self._ended and self._clock.time() >= self._silent_due:
            woken = [next(iter(self._resting_silent))]
            self._silent_due = self._clock.time() + _SILENT_PAUSE
        for dial in woken:
            if dial.client_ended:
                self._ended.add(dial)
            self._resting_ended.pop(dial, None)
            self._resting_silent.pop(dial, None)
        if self._resting or self._resting_ended or self._resting_silent:
            self._set_wake_timer(self._pause())
        for dial in woken:
            if not dial.over:  # by what the end of the one before it brought about
                self.enter(dial)
