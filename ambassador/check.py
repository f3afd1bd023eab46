"""`ambassador check`: what each variable became."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ambassador.address import is_ip
from ambassador.upstream.resolve import HostsFile

if TYPE_CHECKING:
    from ambassador.config.configuration import Configuration
    from ambassador.config.routes import Endpoint, Route


def run(configuration: Configuration, *, as_json: bool) -> int:
    """Print the routes, what became of each variable, and the warnings; return 0."""
    hosts = HostsFile()
    routes = [_describe(route, hosts) for route in configuration.routes]
    decisions = [
        {"variable": decision.variable, "value": decision.value, "route": decision.route, "reason": decision.reason}
        for decision in configuration.decisions
    ]
    if as_json:
        answer = {"routes": routes, "variables": decisions, "warnings": list(configuration.warnings)}
        click.echo(json.dumps(answer, indent=2))
    else:
        click.echo("\n".join(_text(routes, decisions, configuration.warnings)))
    return 0


def _describe(route: Route, hosts: HostsFile) -> dict[str, Any]:
    return {
        "route": route.name,
        "listen": [_listen(str(address)) for address in route.listen],
        "source": route.source,
        "upstream": [_resolve(endpoint, hosts) for endpoint in route.endpoints],
    }


def _listen(text: str) -> str:
    return f"*{text}" if text.startswith(":") else text


def _resolve(endpoint: Endpoint, hosts: HostsFile) -> dict[str, Any]:
    """Look an endpoint up as a dial would."""
    answer: dict[str, Any] = {"endpoint": str(endpoint.address)}
    host = endpoint.address.host
    linked = hosts.addresses(endpoint.hosts_alias) if endpoint.hosts_alias else None
    if endpoint.hosts_alias:
        answer["alias"] = endpoint.hosts_alias
    if linked:
        return {**answer, "resolves_to": list(linked), "by": f"{Path('/etc/hosts')}, alias {endpoint.hosts_alias}"}
    if is_ip(host):
        return {**answer, "resolves_to": [host], "by": "address"}
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return {**answer, "resolves_to": [], "error": str(getattr(error, "strerror", None) or error)}
    return {**answer, "resolves_to": list(dict.fromkeys(str(entry[4][0]) for entry in found)), "by": "name service"}


def _text(routes: list[dict[str, Any]], decisions: list[dict[str, Any]], warnings: tuple[str, ...]) -> list[str]:
    lines = []
    for route in routes:
        lines.append(f"{route['route']}  listens on {', '.join(route['listen'])}  (from {route['source']})")
        for upstream in route["upstream"]:
            found = ", ".join(upstream["resolves_to"]) or f"nothing now: {upstream['error']}"
            by = f" ({upstream['by']})" if upstream.get("by", "address") != "address" else ""
            lines.append(f"    to {upstream['endpoint']}, now {found}{by}")
    ignored = [decision for decision in decisions if decision["route"] is None]
    if ignored:
        lines.append("Ignored:")
        lines.extend(f"    {decision['variable']}={decision['value']}: {decision['reason']}" for decision in ignored)
    lines.extend(f"Warning: {warning}" for warning in warnings)
    return lines
