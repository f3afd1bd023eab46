"""Keys and certificates, read again at SIGHUP and when their files change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ambassador.errors import Problem
    from ambassador.net.clock import Clock
    from ambassador.server.tunnels import Tunnels
    from ambassador.tunnel import Credentials

log = structlog.get_logger()

# The contract with users is ten seconds from a changed file to its use.
_LOOK_EVERY = 5.0


def reload(tunnels: Iterable[Credentials], *, force: bool) -> None:
    """Read keys and certificates if they changed, or if *force*; broken new ones are refused, and the old stay.

    Both ends of a tunnel and all choices of peers have the same files: each problem is told once.
    """
    changed = False
    problems: dict[Problem, None] = {}
    for credentials in tunnels:
        try:
            changed = credentials.reload(force=force) or changed
        except ConfigurationError as error:
            problems.update(dict.fromkeys(error.problems))
    for problem in problems:
        log.warning("tunnel.reload_failed", variable=problem.variable, problem=str(problem))
    if changed:
        log.info("tunnel.reloaded")


def watch(tunnels: Tunnels, clock: Clock) -> None:
    """Look for changed files for as long as the event loop turns, where there are any."""
    if any(True for _ in tunnels):
        clock.call_later(_LOOK_EVERY, _look, tunnels, clock)


def _look(tunnels: Tunnels, clock: Clock) -> None:
    watch(tunnels, clock)  # first: whatever goes wrong in one look, there is a next
    reload(tunnels, force=False)
