"""Work for those who are not admitted yet: a bounded share of each turn of the event loop.

Whoever reaches a port can make us work: accept, read his bytes, shake hands, refuse. So none of that is done when its
event comes. It queues here, and is done last in a turn, after the events of relays and dials; then the event loop has
its own turn, with the admin server, signals and timers. Whatever strangers do, and however many they are, others wait
for `_SHARE` twice, or for the one step that took longer: most of a handshake is one call of OpenSSL, 10 ms with a
certificate of RSA 4096.

Nor do strangers have one turn after the other while others are at work: after theirs they rest for `_REST` times as
long. Short work goes on earlier when nobody else had any, so that resting costs no throughput. After a long step it
does not: a relay that waits for its server's answer has nothing to do for a moment, and would meet the next step.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.net.poller import Poller

# Seconds: so long strangers are accepted in a turn, and so long the work of those accepted is done.
_SHARE: Final = 0.001
# Relays have two thirds of the time, if they need it.
_REST: Final = 2
# Seconds: what took longer than this is felt, and others are given their rest even if they have nothing to do in it.
_LONG: Final = 0.004
# Seconds: a rest is waited for by a timer if it lasts longer, as timers of uvloop tick in milliseconds.
_BY_TIMER: Final = 0.002


class Accepting(Protocol):
    """Who accepts strangers."""

    def accept_some(self, until: float) -> bool:
        """Accept at least one of those who wait, and more before *until*; tell whether more may wait."""


class Stranger(Protocol):
    """Who waits for his next step.

    Attributes:
        network: where he comes from: networks take turns.
    """

    network: bytes

    def step(self) -> None:
        """Do one step, which is short or cannot be divided."""


class Strangers:
    """Queue the work of those who are not admitted, and do it in turns. *enough* of them at a time are let in to it.

    Beyond that they wait in the accept queue, as a crowd of true clients does: those who are in have their turn first.

    Attributes:
        events: how many of the poller's events were theirs; whoever passes one on adds to it.
    """

    def __init__(self, poller: Poller, *, enough: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.events = 0
        self._poller = poller
        self._enough = enough
        self._clock = clock
        self._listeners: OrderedDict[Accepting, None] = OrderedDict()
        self._waiting: OrderedDict[bytes, deque[Stranger]] = OrderedDict()
        self._ready = 0
        self._rests_until = 0.0
        self._sleeps = self._long = False
        self._seen = self._seen_before_work = 0

    def accept(self, listener: Accepting) -> None:
        """Have a listener accept whoever waits, once it is strangers' turn."""
        self._listeners[listener] = None
        self._wake()

    def add(self, stranger: Stranger) -> None:
        """Queue a step of a stranger who has none queued."""
        queue = self._waiting.get(stranger.network)
        if queue is None:
            self._waiting[stranger.network] = deque((stranger,))
        else:
            queue.append(stranger)
        self._ready += 1
        self._wake()

    def _wake(self) -> None:
        if not self._sleeps:
            self._poller.call_last(self._turn)

    def _turn(self) -> None:
        """Do a share of the work, unless it is others' turn."""
        started = self._clock()
        others = self._poller.served - self.events
        # Others are at work if they were a moment ago; after a long step, if they were at any time since.
        at_work = others != (self._seen_before_work if self._long else self._seen)
        self._seen = others
        if at_work and started < self._rests_until:
            self._rest(self._rests_until - started)
            return
        self._seen_before_work = others
        ended = started
        if self._listeners:
            ended = self._accept(started + _SHARE)
        if self._ready:
            ended = self._do_steps(ended + _SHARE)
        self._long = ended - started > _LONG
        self._rests_until = ended + _REST * (ended - started)
        if self._listeners or self._ready:
            self._wake()

    def _rest(self, seconds: float) -> None:
        if seconds > _BY_TIMER:
            self._sleeps = True
            self._poller.loop.call_later(seconds, self._go_on)
        else:
            self._wake()

    def _go_on(self) -> None:
        self._sleeps = False
        self._wake()

    def _accept(self, until: float) -> float:
        """Accept strangers at one listener after the other; return when it is now."""
        now = until - _SHARE
        for _ in range(len(self._listeners)):
            if self._ready >= self._enough:
                break
            listener, _none = self._listeners.popitem(last=False)
            if listener.accept_some(until):
                self._listeners[listener] = None
            now = self._clock()
            if now >= until:
                break
        return now

    def _do_steps(self, until: float) -> float:
        """Do steps of one network after the other, so that the many of one starve nobody; return when it is now."""
        now = until
        while self._ready:
            network, queue = self._waiting.popitem(last=False)
            stranger = queue.popleft()
            if queue:
                self._waiting[network] = queue
            self._ready -= 1
            try:
                stranger.step()
            except Exception as error:  # noqa: BLE001 - as in the poller: the others' steps never come again
                self._poller.report(error)
            now = self._clock()
            if now >= until:
                break
        return now
