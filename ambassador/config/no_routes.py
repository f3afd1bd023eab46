"""The message for a configuration without any route."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ambassador.config.addresses import upstream_address
from ambassador.config.filter import normalised
from ambassador.config.hosts import hosts_lines
from ambassador.config.links import link_name
from ambassador.config.problems import Invalid, shown
from ambassador.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ambassador.config.filter import LinkFilter
    from ambassador.config.routes import Decision

_LOOKED_FOR = "found neither a link variable <ALIAS>_PORT_<n>_TCP=tcp://HOST:PORT nor AMBASSADOR_ROUTES"
_MOST_SHOWN = 3
# Names that every hosts file has, and that Docker adds for itself (host.docker.internal).
_COMMON = re.compile(r"localhost(\..*)?|ip6-.*|.*\.docker\.internal|buildkitsandbox|.*\.localdomain")
_LOOPBACK = re.compile(r"127\..*|::1|0\.0\.0\.0|::|fe00::.*|ff0[0-9a-f]::.*")
# The host name of a container without one: the first 12 digits of its id.
_CONTAINER_ID = re.compile(r"[0-9a-f]{12}")


def no_route(environ: Mapping[str, str], hosts: str, ignored: Sequence[Decision], wanted: LinkFilter) -> Problem:
    """Say what was looked for, why what resembles it was ignored, and what to add."""
    aliases = {normalised(name.alias) for name in map(link_name, environ) if name}
    linked = [alias for alias in linked_names(hosts, environ.get("HOSTNAME", "")) if normalised(alias) not in aliases]
    if "KUBERNETES_SERVICE_HOST" in environ:
        linked = []  # these are a pod's hostAliases, for which there never were variables
    wrong = _LOOKED_FOR
    if ignored:
        reasons = [f"{decision.variable} ({decision.reason})" for decision in ignored]
        wrong = f"{wrong}; ignored: {_first(reasons)}"
    right = "add one, for example -e REDIS_PORT_6379_TCP=tcp://redis:6379"
    if linked:
        wrong = (
            f"{wrong}; /etc/hosts shows {_first(linked)}, but Docker Engine 29 and later no longer set link variables"
        )
        right = f"add {' '.join(_option(alias, environ) for alias in linked[:_MOST_SHOWN])}"
    if any(decision.reason.startswith("AMBASSADOR_LINKS") for decision in ignored):
        right = "correct or unset AMBASSADOR_LINKS"
    elif any(map(wanted.why_not, linked[:_MOST_SHOWN] or ["redis"])):
        right = f"correct or unset AMBASSADOR_LINKS, and {right}"
    return Problem("no route", "", wrong, right)


def _first(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else ""
    return ", ".join(map(shown, texts[:_MOST_SHOWN])) + more


def linked_names(hosts: str, own_name: str) -> Iterator[str]:
    """Yield the aliases that Docker wrote into a hosts file for links, as far as it shows them: the first of a line.

    Docker writes "ADDRESS ALIAS CONTAINER-ID NAME" for a link, and "ADDRESS HOSTNAME" for the container itself.
    """
    seen = set()
    for address, names in hosts_lines(hosts):
        alias = names[0]
        own = own_name.lower() in names or (len(names) == 1 and _CONTAINER_ID.fullmatch(alias))
        if own or alias in seen or _COMMON.fullmatch(alias) or _LOOPBACK.fullmatch(address):
            continue
        seen.add(alias)
        yield alias


def _option(alias: str, environ: Mapping[str, str]) -> str:
    """Write the `-e` option that makes the link *alias*, with the port that a variable <ALIAS>_PORT names, if any."""
    name = normalised(alias)
    try:
        port = str(upstream_address(environ.get(f"{name}_PORT", "").removeprefix("tcp://")).port)
    except Invalid:
        port = "<PORT>"
    return f"-e {shown(name)}_PORT_{port}_TCP=tcp://{shown(alias)}:{port}"
