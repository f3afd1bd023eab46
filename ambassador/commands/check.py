"""`ambassador check`: what each variable became, what it resolves to, and with `--dial` whether it can be reached."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import click

from ambassador.config.by_route import applied
from ambassador.config.problems import shown
from ambassador.config.settings import Settings
from ambassador.net.address import Address, listen_text
from ambassador.net.privileges import landlock_abi
from ambassador.upstream.resolve import HostsFile, candidates

if TYPE_CHECKING:
    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Endpoint, Route

# Enough that the black holes of a large configuration cost a few timeouts.
_DIALS_AT_ONCE = 32
# For each address, in seconds: a lost SYN is sent again after one (RFC 6298).
DIAL_TIMEOUT = 3.0


def run(configuration: Configuration, *, as_json: bool, dial: bool = False) -> int:
    """Print the routes, what became of each variable, and the warnings; return 0.

    With *dial* every address of every upstream is tried; return 1 if a route has none that could be reached.
    """
    hosts = HostsFile()
    routes = [_describe(route, hosts, configuration.settings) for route in configuration.routes]
    if dial:
        asyncio.run(_dial_all(routes))
    decisions = [
        {"variable": decision.variable, "value": decision.value, "route": decision.route, "reason": decision.reason}
        for decision in configuration.decisions
    ]
    abi = landlock_abi()
    if as_json:
        answer = {"routes": routes, "variables": decisions, "warnings": list(configuration.warnings), "landlock": abi}
        click.echo(json.dumps(answer, indent=2))
    else:
        confined = f"landlock: {'not available' if abi is None else f'ABI {abi}'}"
        click.echo("\n".join([*_text(routes, decisions, configuration.warnings), confined]))
    reached = [any("connect_ms" in dialled for dialled in _dials(route)) for route in routes]
    return 1 if dial and not all(reached) else 0


def _describe(route: Route, hosts: HostsFile, settings: Settings) -> dict[str, Any]:
    return {
        "route": route.name,
        "listen": [listen_text(address) for address in route.listen],
        "source": route.source,
        "upstream": [_resolve(endpoint, hosts) for endpoint in route.endpoints],
        "settings": [found._asdict() for found in applied(settings, Settings(), route)],
    }


def _resolve(endpoint: Endpoint, hosts: HostsFile) -> dict[str, Any]:
    """Look an endpoint up as a dial would."""
    answer: dict[str, Any] = {"endpoint": str(endpoint.address)}
    if endpoint.hosts_alias:
        answer["alias"] = endpoint.hosts_alias
    try:
        found = candidates(endpoint, hosts)
    except (OSError, UnicodeError) as error:
        return {**answer, "resolves_to": [], "error": str(getattr(error, "strerror", None) or error)}
    return {**answer, "resolves_to": list(found.addresses), "by": found.by}


async def _dial_all(routes: list[dict[str, Any]]) -> None:
    """Try every address that was found, many at the same time: black holes cost one timeout, not one each."""
    gate = asyncio.Semaphore(_DIALS_AT_ONCE)
    async with asyncio.TaskGroup() as dials:
        for route in routes:
            for upstream in route["upstream"]:
                port = int(upstream["endpoint"].rpartition(":")[2])
                upstream["dialled"] = [{"address": str(Address(host, port))} for host in upstream["resolves_to"]]
                for host, dialled in zip(upstream["resolves_to"], upstream["dialled"], strict=True):
                    dials.create_task(_dial(host, port, gate, dialled), name=dialled["address"])


async def _dial(host: str, port: int, gate: asyncio.Semaphore, dialled: dict[str, Any]) -> None:
    """Connect once, and note how long it took or why it failed."""
    async with gate:
        started = time.monotonic()
        try:
            await _connect(host, port)
        except OSError as error:
            late = isinstance(error, TimeoutError) and not error.errno
            dialled["error"] = f"no answer in {DIAL_TIMEOUT:g} s" if late else error.strerror or str(error)
        else:
            dialled["connect_ms"] = round((time.monotonic() - started) * 1000, 3)


async def _connect(host: str, port: int) -> None:
    """Connect, and close at once.

    asyncio's own looks an address with a scope up in a thread, which there may not be.

    Raises:
        OSError: there is no connection; TimeoutError without a number: no answer in time.
    """
    loop, writable = asyncio.get_running_loop(), asyncio.Event()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)  # noqa: FBT003 - the name of it
        number = sock.connect_ex((host, port))
        if number == errno.EINPROGRESS:
            loop.add_writer(sock, writable.set)
            try:
                async with asyncio.timeout(DIAL_TIMEOUT):
                    await writable.wait()
            finally:
                loop.remove_writer(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _dials(route: dict[str, Any]) -> list[dict[str, Any]]:
    return [dialled for upstream in route["upstream"] for dialled in upstream.get("dialled", [])]


def _text(routes: list[dict[str, Any]], decisions: list[dict[str, Any]], warnings: tuple[str, ...]) -> list[str]:
    lines = []
    for route in routes:
        lines.append(f"{route['route']}  listens on {', '.join(route['listen'])}  (from {route['source']})")
        for upstream in route["upstream"]:
            lines.append(f"    to {upstream['endpoint']}{_resolved_text(upstream)}")
            lines.extend(f"        {_dial_text(dialled)}" for dialled in upstream.get("dialled", []))
        lines.extend(
            f"    {found['setting']} {shown(found['value'])} (by {shown(found['by'])})" for found in route["settings"]
        )
        merged = [decision for decision in decisions if decision["route"] == route["route"]][1:]
        lines.extend(f"    {decision['variable']}={decision['value']}: {decision['reason']}" for decision in merged)
    ignored = [decision for decision in decisions if decision["route"] is None]
    said = [f"{decision['variable']}={decision['value']}: {decision['reason']}" for decision in ignored]
    if said:
        lines += ["Ignored:", *(f"    {line}" for line in said)]
    lines.extend(f"Warning: {warning}" for warning in warnings if warning not in said)
    return lines


def _resolved_text(upstream: dict[str, Any]) -> str:
    if "error" in upstream:
        return f": cannot be resolved: {upstream['error']}"
    if upstream["by"] == "address":
        return ""
    return f", which is {', '.join(upstream['resolves_to'])} (by {upstream['by']})"


def _dial_text(dialled: dict[str, Any]) -> str:
    outcome = f"connected in {dialled['connect_ms']} ms" if "connect_ms" in dialled else f"FAILED: {dialled['error']}"
    return f"{dialled['address']} {outcome}"
