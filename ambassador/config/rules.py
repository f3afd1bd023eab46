"""Settings that contradict each other, and settings that are probably not meant as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ambassador.config.addresses import overlap
from ambassador.config.by_route import ByRoute
from ambassador.config.problems import shown
from ambassador.errors import Problem
from ambassador.net.address import listen_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ambassador.config.routes import Decision, Route
    from ambassador.config.settings import Role, Settings

# The first Python whose ssl module supports pre-shared keys.
_PYTHON_WITH_KEYS = (3, 13)
# A slip in one of these would let somebody in, or something out, whom nobody meant.
_MUST_FIT = frozenset({"tunnel", "tunnel_peers", "allow", "proxy_protocol", "proxy_protocol_from"})
_MOST_NAMED = 5
_KEY = "AMBASSADOR_TUNNEL_KEY_FILE"
_CERTIFICATES = ("AMBASSADOR_TUNNEL_CERT_FILE", "AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE", "AMBASSADOR_TUNNEL_CA_FILE")


def tunnel_problems(settings: Settings, *, python: tuple[int, int]) -> list[Problem]:
    """Check that the settings choose one kind of tunnel: a shared key, or certificates. The files are not read.

    This is the only place that decides so. *python* is the version that the tunnel would run on.
    """
    if not tunnel_roles(settings):
        return []
    files = (settings.tunnel_cert_file, settings.tunnel_private_key_file, settings.tunnel_ca_file)
    missing = [name for name, file in zip(_CERTIFICATES, files, strict=True) if file is None]
    wrong = right = ""
    if settings.tunnel_key_file is None:
        if len(missing) == len(files):
            wrong, right = "neither a key nor certificates", f"set {_KEY}, or {_listed(_CERTIFICATES)}"
        elif missing:
            wrong, right = "incomplete certificates", f"also set {_listed(missing)}"
    elif len(missing) < len(files):
        wrong, right = "both a key and certificates", f"set either {_KEY}, or {_listed(_CERTIFICATES)}"
    elif any(settings.tunnel_peers.values()):
        wrong, right = f"{_KEY} together with AMBASSADOR_TUNNEL_PEERS", "unset one: names need certificates"
    elif python < _PYTHON_WITH_KEYS:
        wrong, right = "a shared key needs Python 3.13", "use the image, a newer Python, or certificates"
    return [Problem("AMBASSADOR_TUNNEL", shown(str(settings.tunnel)), wrong, right)] if wrong else []


def tunnel_roles(settings: Settings) -> frozenset[Role]:
    """Return the ends of tunnels that the settings name for one route or another."""
    return frozenset(settings.tunnel.values()) - {"off"}


def unfit_exceptions(
    settings: Settings, routes: Sequence[Route], *, given: Mapping[str, str]
) -> tuple[list[Problem], list[str]]:
    """Find the exceptions that fit no route: problems where a slip would leave a route open, else warnings."""
    problems, warned = [], []
    there = f"the routes are {', '.join(shown(route.name) for route in routes[:_MOST_NAMED])}"
    there += f" and {len(routes) - _MOST_NAMED} more" if len(routes) > _MOST_NAMED else ""
    for name, setting in settings:
        for item in setting.items if isinstance(setting, ByRoute) else ():
            if any(map(item.pattern.fits, routes)):
                continue
            variable = given[name.upper()]
            if name in _MUST_FIT:
                problems.append(Problem(variable, shown(item.text), "fits no route", there))
            else:
                warned.append(f"{variable}: {shown(item.text)} fits no route; {there}")
    return problems, warned


def admin_problems(settings: Settings, routes: Iterable[Route], decisions: Iterable[Decision]) -> list[Problem]:
    """Find the routes that listen where the admin server does."""
    admin = settings.admin
    if admin is None:
        return []
    values = {decision.route: decision.value for decision in reversed(list(decisions))}
    return [
        Problem(
            shown(route.source),
            values.get(route.name, ""),
            f"listens on port {admin.port}, but so does AMBASSADOR_ADMIN={listen_text(admin)}",
            "give AMBASSADOR_ADMIN another port, or set it to off",
        )
        for route in routes
        if any(overlap(listen, admin) for listen in route.listen)
    ]


def warnings(settings: Settings, *, given: Mapping[str, str], aliases: Iterable[str]) -> list[str]:
    """Return what works but is probably not intended.

    *given* says which variable set each setting that is set; *aliases* are those of the links.
    """
    found = []
    if given.get("ADMIN_TOKEN") == "AMBASSADOR_ADMIN_TOKEN":
        found.append(
            "AMBASSADOR_ADMIN_TOKEN is set by value, which Docker copies into containers that link here: "
            "use AMBASSADOR_ADMIN_TOKEN_FILE"
        )
    idle = [variable for name, variable in given.items() if name.startswith("TUNNEL_")]
    if idle and not tunnel_roles(settings):
        found.append(f"{_listed(idle)} set without AMBASSADOR_TUNNEL: nothing is encrypted")
    absent = settings.links.absent(aliases)
    if absent:
        found.append(f"AMBASSADOR_LINKS names {_listed(absent)}, but there is no such link")
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
