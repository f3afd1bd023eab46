"""`ambassador wait`: hold a start-up script back until the link can carry something."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import click

from ambassador import healthcheck
from ambassador.upstream.resolve import HostsFile

if TYPE_CHECKING:
    from ambassador.address import Address
    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Endpoint, Route

# Often enough that a script does not feel it, seldom enough that the server does not.
_PAUSE = 0.2
_ATTEMPT = 2.0


def run(configuration: Configuration, *, timeout: float) -> int:
    """Return 0 as soon as nothing is missing any more, or 1 at the timeout, in seconds, naming what is."""
    deadline = time.monotonic() + timeout
    while True:
        missing = _missing(configuration, deadline)
        if not missing:
            click.echo(
                "ready; each next hop accepts connections, which does not prove what lies behind a source ambassador"
            )
            return 0
        if time.monotonic() + _PAUSE >= deadline:
            click.echo(f"not ready after {timeout:g} s: {'; '.join(missing)}", err=True)
            return 1
        time.sleep(_PAUSE)


def _missing(configuration: Configuration, deadline: float) -> list[str]:
    missing = []
    if configuration.settings.admin is not None:
        missing += _admin_missing(configuration.settings.admin)
    hosts = HostsFile()
    for route in configuration.routes:
        missing += _upstream_missing(route, hosts, deadline)
    return missing


def _admin_missing(admin: Address) -> list[str]:
    try:
        status, body = healthcheck.ask(str(admin), "/readyz")
    except (OSError, ValueError) as error:
        return [f"no ambassador answers at {admin} ({error})"]
    return [] if status == 200 else [f"the ambassador at {admin} is {body}"]


def _upstream_missing(route: Route, hosts: HostsFile, deadline: float) -> list[str]:
    """Try the endpoints in order, as a dial would; one that accepts is enough."""
    errors = []
    for endpoint in route.endpoints:
        left = deadline - time.monotonic()
        try:
            with socket.create_connection(_target(endpoint, hosts), min(_ATTEMPT, max(0.1, left))):
                return []
        except (OSError, UnicodeError) as error:
            errors.append(f"{endpoint.address} ({getattr(error, 'strerror', None) or error})")
    return [f"{route.name}: no connection to {', '.join(errors)}"]


def _target(endpoint: Endpoint, hosts: HostsFile) -> tuple[str, int]:
    linked = hosts.addresses(endpoint.hosts_alias) if endpoint.hosts_alias else None
    return (linked[0] if linked else endpoint.address.host, endpoint.address.port)
