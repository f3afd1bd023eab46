"""How the endpoints of an upstream fare, as the dials of clients show it: nothing is probed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable


log = structlog.get_logger()

# Names that answer with other addresses at each lookup, and endpoints that come and go, tell of it this often at most.
_QUIET = 1.0
# An endpoint that stays down is spoken of again after this long, then after twice as long, up to the longest.
_FIRST_REMINDER, _LONGEST_REMINDER = 1.0, 60.0


class EndpointHealth:
    """What is known of one endpoint.

    Attributes:
        up: whether the last dial reached it; None before the first.
        since: monotonic time of the last change of `up`.
        dialled: monotonic time of the last dial's outcome; None before the first.
        error: why the last dial failed, as long as it is down; without the endpoint's own name or host before it.
        failures: failed attempts since it was last up.
        early_resets: connections that it reset before its first byte.
        addresses: what its name resolved to the last time.
    """

    __slots__ = (
        "_moved_logged", "_reminder", "_said_down", "_spoke", "addresses", "dialled", "early_resets", "error",
        "failures", "name", "route", "since", "up",
    )  # fmt: skip

    def __init__(self, route: str, name: str) -> None:
        self.route = route
        self.name = name
        self.up: bool | None = None
        self.since = time.monotonic()
        self.dialled: float | None = None
        self.error: str | None = None
        self.failures = 0
        self.early_resets = 0
        self.addresses: frozenset[str] = frozenset()
        self._moved_logged = -_QUIET
        self._said_down = False
        self._spoke = -_QUIET
        self._reminder = _FIRST_REMINDER

    def resolved(self, addresses: Iterable[str]) -> None:
        """Take note of what the name resolves to now; say so when none of it was seen the last time."""
        found = frozenset(addresses)
        if found == self.addresses:
            return
        before, self.addresses = self.addresses, found
        now = time.monotonic()
        if before and before.isdisjoint(found) and now - self._moved_logged >= _QUIET:
            self._moved_logged = now
            log.info(
                "route.upstream_moved",
                route=self.route,
                endpoint=self.name,
                was=",".join(sorted(before)),
                now=",".join(sorted(found)),
            )

    def reached(self) -> None:
        """Take note of a dial that connected."""
        now = self.dialled = time.monotonic()
        if self.up:
            return
        if self._said_down:
            self._said_down = False
            log.info(
                "route.upstream_up",
                route=self.route,
                endpoint=self.name,
                down_seconds=round(now - self.since, 3),
                failures=self.failures,
            )
        self.up, self.since, self.error, self.failures = True, now, None, 0

    def missed(self, reason: str, *, attempts: int = 1) -> None:
        """Take note of an attempt that failed, or of several at once.

        Of a name with one dead address among live ones, or of an endpoint that flaps, each attempt would be news: it
        is said at most once a second that an endpoint is down, and that it is up again only if that was said.
        """
        now = self.dialled = time.monotonic()
        self.failures += attempts
        host = self.name.rpartition(":")[0]
        self.error = reason.removeprefix(f"{self.name}: ").removeprefix(f"{host}: ")
        if self.up is not False:
            self.up, self.since = False, now
            self._reminder = _FIRST_REMINDER
        if not self._said_down:
            if now - self._spoke >= _QUIET:
                self._say("route.upstream_down", now)
        elif now - self._spoke >= self._reminder:
            self._reminder = min(2 * self._reminder, _LONGEST_REMINDER)
            self._say("route.upstream_still_down", now)

    def _say(self, event: str, now: float) -> None:
        still = {"failures": self.failures, "down_seconds": round(now - self.since, 3)} if self._said_down else {}
        self._said_down = True
        self._spoke = now
        log.warning(event, route=self.route, endpoint=self.name, reason=self.error, **still)
