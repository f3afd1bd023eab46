"""Keys and certificates, read again at SIGHUP and when their files change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from ambassador.net.clock import Clock
    from ambassador.tunnel import Credentials

log = structlog.get_logger()

# The contract with users is ten seconds from a changed file to its use.
_LOOK_EVERY = 5.0


def reload(credentials: Credentials | None, *, force: bool) -> None:
    """Read keys and certificates if they changed, or if *force*; broken new ones are refused, and the old stay."""
    if credentials is None:
        return
    try:
        changed = credentials.reload(force=force)
    except ConfigurationError as error:
        for problem in error.problems:
            log.warning("tunnel.reload_failed", variable=problem.variable, problem=str(problem))
    else:
        if changed:
            log.info("tunnel.reloaded")


def watch(credentials: Credentials, clock: Clock) -> None:
    """Look for changed files for as long as the event loop turns."""
    clock.call_later(_LOOK_EVERY, _look, credentials, clock)


def _look(credentials: Credentials, clock: Clock) -> None:
    watch(credentials, clock)  # first: whatever goes wrong in one look, there is a next
    reload(credentials, force=False)
