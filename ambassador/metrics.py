"""What is counted. Plain numbers that the hot path adds to; whoever wants to know reads them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Weight(StrEnum):
    """How much an ending matters to whoever is on call."""

    ORDINARY = "ordinary"  # what clients and upstreams do all day
    INTENDED = "intended"  # as a setting or somebody asked for: worth a look, not an alarm
    TROUBLE = "trouble"


class End(StrEnum):
    """How a connection ended: the field `end` of the access log and the label `end` of the metrics.

    The one place that knows all of them. The page and `status` show what is here, and docs/operations.md is held to it.

    Attributes:
        weight: how much it matters.
        meaning: what happened, in a few words.
    """

    weight: Weight
    meaning: str

    def __new__(cls, value: str, weight: Weight, meaning: str) -> Self:
        """Make a member from its name, its weight and its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.weight = weight
        member.meaning = meaning
        return member

    __hash__ = str.__hash__  # Enum's own is Python code, and each connection counts its end

    CLOSED = "closed", Weight.ORDINARY, "both directions ended in order"
    CLIENT_RESET = "client_reset", Weight.ORDINARY, "the client reset a relayed connection"
    UPSTREAM_RESET = "upstream_reset", Weight.TROUBLE, "the upstream reset a relayed connection"
    CLIENT_GONE = "client_gone", Weight.ORDINARY, "the client reset before there was a connection"
    CONNECT_REFUSED = "connect_refused", Weight.TROUBLE, "nobody listens at the upstream"
    CONNECT_TIMEOUT = "connect_timeout", Weight.TROUBLE, "the upstream did not answer in time"
    CONNECT_UNRESOLVED = "connect_unresolved", Weight.TROUBLE, "the upstream's name did not resolve"
    CONNECT_UNREACHABLE = "connect_unreachable", Weight.TROUBLE, "no route to the upstream's network or host"
    CONNECT_FAILED = "connect_failed", Weight.TROUBLE, "the dial failed for another reason, in the field `error`"
    HANDSHAKE_FAILED = "handshake_failed", Weight.TROUBLE, "the other end of the tunnel did not prove itself"
    NOT_ALLOWED = "not_allowed", Weight.INTENDED, "the client is not within `AMBASSADOR_ALLOW`"
    BAD_PROXY_HEADER = "bad_proxy_header", Weight.TROUBLE, "no valid PROXY header came in time"
    IDLE_TIMEOUT = "idle_timeout", Weight.INTENDED, "no traffic for `AMBASSADOR_IDLE_TIMEOUT`"
    HALF_CLOSE_TIMEOUT = (
        "half_close_timeout", Weight.INTENDED,
        "half-closed, then no traffic for `AMBASSADOR_HALF_CLOSE_TIMEOUT`",
    )  # fmt: skip
    MAX_LIFETIME = "max_lifetime", Weight.INTENDED, "older than `AMBASSADOR_MAX_LIFETIME`"
    PEER_DEAD = "peer_dead", Weight.TROUBLE, "a peer vanished: no answer to anything for a minute"
    DRAINED = "drained", Weight.INTENDED, "cut at the end of the drain"
    PROTOCOL_ERROR = "protocol_error", Weight.TROUBLE, "the other end of the tunnel broke its rules"
    KILLED = "killed", Weight.INTENDED, "reset through the admin address"
    FAILED = "failed", Weight.TROUBLE, "a fault of the ambassador itself: please report it"


_ORDINARY = frozenset(end for end in End if end.weight is Weight.ORDINARY)


def troubled(ends: Mapping[str, int]) -> int:
    """Add up the connections whose ending was not the ordinary course of things. One not known here was not, either."""
    return sum(count for end, count in ends.items() if end not in _ORDINARY)


# Seconds. A dial within a data centre takes half a millisecond, a lost SYN one second, then three.
CONNECT_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Seconds. From one request to a pool's connection that lives for days.
CONNECTION_BOUNDS: Final = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)
# Seconds of CPU. Strangers have two milliseconds of a turn; what is above five, somebody may feel.
TURN_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
_SHORT: Final = TURN_BOUNDS[0]
# So many short turns' CPU time is read at once.
_TOGETHER: Final = 16
_LOOK_BACK_SECONDS: Final = 60


class Histogram:
    """Count observations below each of *bounds*, and above the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class RouteCounters:
    """What happened on one route since the start; bytes are of ended connections, the live ones count their own."""

    __slots__ = ("accept_paused", "active", "bytes_down", "bytes_up", "connect", "connection", "ends")

    def __init__(self) -> None:
        self.active = 0
        self.ends = dict.fromkeys(End, 0)
        self.bytes_up = 0
        self.bytes_down = 0
        self.accept_paused = 0
        self.connect = Histogram(CONNECT_BOUNDS)
        self.connection = Histogram(CONNECTION_BOUNDS)


class Turns:
    """How much CPU time the event loop takes from one look at its sockets to the next: so long an event may wait.

    All that runs in between counts: relays, strangers, timers, the admin server. Reading the thread's CPU clock is a
    system call (0.6 us, where a turn with one small message takes 10), so it is not read in each turn: one that lasted
    less than the lowest bound, waiting included, took no more CPU than that, and what such turns took is told together,
    some at a time.
    """

    __slots__ = ("_begun", "_cpu", "_each", "_last", "_longest", "_seconds", "_short", "_wall", "histogram")

    def __init__(
        self, *, cpu: Callable[[], float] = time.thread_time, wall: Callable[[], float] = time.perf_counter
    ) -> None:
        self.histogram = Histogram(TURN_BOUNDS)
        self._cpu = cpu
        self._wall = wall
        self._begun, self._last = cpu(), wall()
        self._short = 0  # turns whose CPU time has not been read yet
        self._each = 0.0  # CPU seconds that such a turn took lately
        self._longest = 0.0
        self._seconds: deque[float] = deque(maxlen=_LOOK_BACK_SECONDS)

    def begins(self) -> None:
        """Take note that a turn begins, and with it that the one before has ended."""
        now = self._wall()
        lasted = now - self._last
        self._last = now
        if lasted <= _SHORT:
            self._short += 1
            if self._short >= _TOGETHER:
                used = self._read()
                self._each = used / _TOGETHER
                self.histogram.total += used
                self._count_short()
        else:
            used = self._read()
            turn = min(lasted, max(0.0, used - self._short * self._each))
            self.histogram.total += used - turn
            self._count_short()
            self.histogram.observe(turn)
            self._longest = max(self._longest, turn)

    def start(self) -> None:
        """Count from now on: what was done before the first turn was none."""
        self._begun, self._last = self._cpu(), self._wall()

    def second_passes(self) -> None:
        """Take note that a second passed. Without events no turn ends: what timers did since is one."""
        self.begins()
        self._seconds.append(self._longest)
        self._longest = 0.0

    def longest(self) -> float:
        """Return the longest turn of the last minute; 0 if all were below the lowest bound."""
        return max(self._longest, *self._seconds, 0.0)

    def _read(self) -> float:
        begun, self._begun = self._begun, self._cpu()
        return self._begun - begun

    def _count_short(self) -> None:
        self.histogram.counts[0] += self._short
        self._short = 0
