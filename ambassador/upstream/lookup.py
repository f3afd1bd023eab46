"""The addresses of one endpoint, for one dial: by its alias in the hosts file, as it stands, or by the name service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.net.clock import Clock
    from ambassador.upstream.endpoint import ServedEndpoint
    from ambassador.upstream.resolve import Resolver

# Docker rewrites the hosts file in microseconds: five looks are far more than enough.
_REWRITE_LOOKS = 5
_REWRITE_PAUSE = 0.01


class LookupOwner(Protocol):
    """Who asked, and gets one answer unless it cancels, or had it from `start`."""

    def looked_up(self, addresses: Sequence[str], reason: str | None) -> None:
        """Take the addresses, or none and the reason."""


class Lookup:
    """Find the addresses of an endpoint. The owner keeps the deadline.

    Attributes:
        owner: who is told; None once it was, or has cancelled.
    """

    __slots__ = ("_clock", "_endpoint", "_looks", "_resolver", "owner")

    def __init__(self, endpoint: ServedEndpoint, resolver: Resolver, clock: Clock, owner: LookupOwner) -> None:
        self._endpoint = endpoint
        self._resolver = resolver
        self._clock = clock
        self.owner: LookupOwner | None = owner
        self._looks = 0

    def start(self) -> Sequence[str]:
        """Return the addresses if they are known without asking anybody; none if the answer is to come."""
        endpoint = self._endpoint
        if endpoint.hosts_alias is not None:
            linked = self._resolver.linked(endpoint.hosts_alias)
            if linked is None and self._looks < _REWRITE_LOOKS:
                self._looks += 1
                self._clock.call_later(_REWRITE_PAUSE, self._look_again)
                return ()
            if linked:
                return linked
        if endpoint.literal:
            return (endpoint.host,)
        self._resolver.lookup(endpoint.host, self._answered)
        return ()

    def cancel(self) -> None:
        """Give no answer."""
        self.owner = None

    def _look_again(self) -> None:
        if self.owner is not None:
            found = self.start()
            if found:
                self._answered(tuple(found), None)

    def _answered(self, found: tuple[str, ...], reason: str | None) -> None:
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.looked_up(found, reason)
