"""Standing back: an endpoint or an address that was missed comes last for a while, and is then tried by one dial.

What has answered a dial stands in its place. What was missed stands back for a base time; one that was silent, which
costs whoever asks it seconds, for twice as long each time. It is never refused outright: where all stand back, all are
tried.
"""

from __future__ import annotations

import math
import random

# Seconds. A server that was silent for long is not found much later than this once it answers.
_LONGEST = 30.0
# Of a fleet that found the same endpoint silent at once, not all ask it again at once.
_JITTER = 0.2


class Ejection:
    """What is remembered of one endpoint, or of one address of a name.

    Attributes:
        since_up: monotonic time since when it has answered; infinity while it does not.
    """

    __slots__ = ("_asked", "_seconds", "_silent_seconds", "_until", "since_up")

    def __init__(self) -> None:
        self.since_up = -math.inf
        self._until = -math.inf
        self._seconds = 0.0
        self._silent_seconds = 0.0
        self._asked = -math.inf

    @property
    def ejected(self) -> bool:
        """Tell whether it was missed last, so that it stands back or is to be tried by one dial."""
        return self.since_up == math.inf

    def stands_back(self, now: float) -> bool:
        """Tell whether a dial that begins now should try everything else first.

        Once its time is over, one caller is told that it does not: that one has to say what came of it, by `missed`,
        `reached` or `untried`.
        """
        if not self.ejected:
            return False
        if now < self._until or now < self._asked + _LONGEST:
            return True
        self._asked = now
        return False

    def missed(self, now: float, base: float, *, silent: bool) -> float:
        """Stand back for *base* seconds or more; return how long if that is news, 0 if it stood back already."""
        news = not self.ejected
        if not news and now < self._until:
            return 0.0  # of many that were under way at once each finds the same: that is one miss
        if news and now - self.since_up >= self._seconds:
            self._silent_seconds = 0.0  # it was up for as long as it was ejected last: all is forgotten
        if silent:
            self._silent_seconds = max(base, min(_LONGEST, 2 * self._silent_seconds))
            self._seconds = self._silent_seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        else:
            self._seconds = base
        self._until = now + self._seconds
        self.since_up = math.inf
        self._asked = -math.inf
        return self._seconds if news else 0.0

    def reached(self, now: float) -> None:
        """Stand in its place again."""
        if math.isinf(self.since_up):
            self.since_up = now
        self._asked = -math.inf

    def untried(self) -> None:
        """Let another dial try it: the one that was to has ended without a word."""
        self._asked = -math.inf
