"""How the endpoints of an upstream fare, as the dials of clients show it: nothing is probed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ambassador.config.routes import Endpoint

log = structlog.get_logger()

# Names that answer with other addresses at each lookup, and failing endpoints, tell of it this often at most.
_QUIET = 1.0


class EndpointHealth:
    """What is known of one endpoint.

    Attributes:
        up: whether the last dial reached it; None before the first.
        since: monotonic time of the last change of `up`.
        error: why the last dial failed, as long as it is down.
        failures: failed dials since it was last up.
        early_resets: connections that it reset before its first byte.
    """

    __slots__ = ("_moved_logged", "addresses", "early_resets", "error", "failures", "name", "route", "since", "up")

    def __init__(self, route: str, name: str) -> None:
        self.route = route
        self.name = name
        self.up: bool | None = None
        self.since = time.monotonic()
        self.error: str | None = None
        self.failures = 0
        self.early_resets = 0
        self.addresses: frozenset[str] = frozenset()
        self._moved_logged = -_QUIET

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
        if self.up:
            return
        now = time.monotonic()
        if self.up is False:
            log.info(
                "route.upstream_up",
                route=self.route,
                endpoint=self.name,
                down_seconds=round(now - self.since, 3),
                failures=self.failures,
            )
        self.up, self.since, self.error, self.failures = True, now, None, 0

    def missed(self, reason: str) -> None:
        """Take note of a dial that failed."""
        self.failures += 1
        self.error = reason
        if self.up is not False:
            self.up, self.since = False, time.monotonic()
            log.warning("route.upstream_down", route=self.route, endpoint=self.name, reason=reason)


def watch(route: str, endpoints: tuple[Endpoint, ...]) -> tuple[EndpointHealth, ...]:
    """Make the records of a route's endpoints, in their order."""
    return tuple(EndpointHealth(route, str(endpoint.address)) for endpoint in endpoints)
