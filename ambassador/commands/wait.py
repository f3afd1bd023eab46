"""`ambassador wait`: hold back a start-up script until the link can carry something."""

from __future__ import annotations

import functools
import socket
import threading
import time
from typing import TYPE_CHECKING

import click

from ambassador.commands import healthcheck
from ambassador.upstream.helper import look_up_apart
from ambassador.upstream.name_service import look_up
from ambassador.upstream.resolve import HostsFile, candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Endpoint, Route
    from ambassador.net.address import Address

    # Asks for the addresses of a name, and is told for how many seconds it may.
    Ask = Callable[[str, float], tuple[str, ...]]
    # Looks for one thing, for so many seconds; returns what is missing, as text, or None.
    Look = Callable[[float, Ask], str | None]

# Seconds between two looks: a script does not notice them, and neither does the server.
_PAUSE = 0.2
# Seconds for one address: a lost SYN is sent again after one (RFC 6298).
_ATTEMPT = 2.0
# Seconds for one look at what is there already, where no time is given.
_LEAST = 0.1


def _look_up(name: str, _left: float) -> tuple[str, ...]:
    return look_up(name)


class _Search(threading.Thread):
    """Look for one thing until it is there. A daemon thread: a lookup may take longer than the wait.

    Attributes:
        missing: what is missing, as text; None once it was there.
    """

    def __init__(self, missing: str, look: Look, deadline: float) -> None:
        super().__init__(daemon=True)
        self.missing: str | None = missing
        self.look = look
        self._deadline = deadline

    def run(self) -> None:
        while self.missing is not None and (left := self._deadline - time.monotonic()) > 0:
            self.missing = self.look(left, _look_up)
            if self.missing is not None:
                time.sleep(_PAUSE)


def run(configuration: Configuration, *, timeout: float) -> int:
    """Return 0 as soon as everything was there, or 1 after *timeout* seconds, naming what is missing."""
    deadline = time.monotonic() + max(timeout, _LEAST)
    searches = list(_searches(configuration, deadline))
    started = []
    try:
        for search in searches:
            search.start()
            started.append(search)
    except RuntimeError:  # no room for so many threads, or for any
        _take_turns(searches[len(started) :], deadline)
    for search in started:
        search.join(max(0.0, deadline - time.monotonic()))
    missing = [search.missing for search in searches if search.missing is not None]
    if missing:
        click.echo(f"not ready after {timeout:g} s: {'; '.join(missing)}", err=True)
        return 1
    click.echo("ready: each next hop accepts connections; what is behind a source ambassador was not tested")
    return 0


def _take_turns(searches: list[_Search], deadline: float) -> None:
    """Do the work of several searches one after the other; none holds up the others for longer than an attempt."""
    while searches and (left := deadline - time.monotonic()) > 0:
        for search in searches:
            search.missing = search.look(max(_LEAST, min(_ATTEMPT, left / len(searches))), look_up_apart)
        searches = [search for search in searches if search.missing is not None]
        if searches:
            time.sleep(_PAUSE)


def _searches(configuration: Configuration, deadline: float) -> Iterator[_Search]:
    admin = configuration.settings.admin
    if admin is not None:
        yield _Search(f"no ambassador at {admin}", functools.partial(_admin_missing, admin), deadline)
    for route in configuration.routes:
        endpoints = ", ".join(str(endpoint.address) for endpoint in route.endpoints)
        missing = f"{route.name}: no connection to {endpoints}"
        yield _Search(missing, functools.partial(_upstream_missing, route, HostsFile()), deadline)


def _admin_missing(admin: Address, left: float, _ask: Ask) -> str | None:
    try:
        reason = healthcheck.not_ready(str(admin), timeout=min(healthcheck.TIMEOUT, left))
    except (OSError, ValueError) as error:
        return f"no ambassador at {admin} ({error})"
    return reason and f"the ambassador at {admin} is {reason}"


def _upstream_missing(route: Route, hosts: HostsFile, left: float, ask: Ask = _look_up) -> str | None:
    """Try the endpoints in order, as a dial would; one that accepts is enough."""
    deadline = time.monotonic() + left
    errors = []
    for number, endpoint in enumerate(route.endpoints):
        share = max(0.0, deadline - time.monotonic()) / (len(route.endpoints) - number)
        try:
            _connect(endpoint, hosts, share, ask)
        except (OSError, UnicodeError) as error:
            errors.append(f"{endpoint.address} ({getattr(error, 'strerror', None) or error})")
        else:
            return None
    return f"{route.name}: no connection to {', '.join(errors)}"


def _connect(endpoint: Endpoint, hosts: HostsFile, left: float, ask: Ask) -> None:
    """Connect to one of the addresses of *endpoint*, each of which has its share of *left* seconds.

    Raises:
        OSError, UnicodeError: of the last address, or of the lookup.
    """
    deadline = time.monotonic() + left
    addresses = candidates(endpoint, hosts, ask=lambda name: ask(name, left)).addresses
    for number, host in enumerate(addresses):  # pragma: no branch - the last one is reached, or raises
        share = max(_LEAST, (deadline - time.monotonic()) / (len(addresses) - number))
        try:
            socket.create_connection((host, endpoint.address.port), min(_ATTEMPT, share)).close()
        except OSError:
            if number + 1 == len(addresses):
                raise
        else:
            return
