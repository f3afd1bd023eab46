"""From the environment to the whole configuration, in one call."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ambassador.config.environment import read_settings
from ambassador.config.links import find_links
from ambassador.config.merge import merge
from ambassador.config.no_routes import no_route
from ambassador.config.routes_setting import ROUTES, explicit_routes
from ambassador.config.rules import admin_problems, tunnel_problems, unfit_exceptions, warnings
from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ambassador.config.routes import Decision, Route
    from ambassador.config.settings import Settings
    from ambassador.errors import Problem

    Examine = Callable[[Settings], Sequence[Problem]]

# Where one of these could not be read, what would clash and what would be missing is not known.
_ROUTING = frozenset({"admin", "bind", "links", "routes"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked configuration: nothing in it can be wrong in itself, and nothing in it changes.

    Attributes:
        settings: every AMBASSADOR_* setting, given or by default.
        routes: at least one, sorted by port.
        decisions: what became of every variable that looks like a link, and of every explicit route.
        warnings: what works but is probably not intended, one line each.
    """

    settings: Settings
    routes: tuple[Route, ...]
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]


def read(
    environ: Mapping[str, str],
    *,
    arguments: Sequence[str] = (),
    hosts: str = "",
    python: tuple[int, int] = sys.version_info[:2],
    examine: Examine | None = None,
) -> Configuration:
    """Read the configuration from an environment, from the command's ROUTEs, and from files that variables name.

    *environ* and *arguments* are not looked at again. *hosts* is the text of /etc/hosts, for advice only. *python* is
    the version that the tunnel would run on. *examine* looks at what the text does not say, such as the files of a
    tunnel whose settings are valid; its problems are reported with the others.

    Raises:
        ConfigurationError: something is wrong; it carries every problem that was found.
    """
    reading = read_settings(environ)
    settings = reading.settings
    found = find_links(environ, settings.links)
    explicit, wrong_routes = explicit_routes(settings.routes, arguments, variable=reading.given.get("ROUTES", ROUTES))
    merged = merge(found.links, explicit, settings.bind, settings.links)
    decisions = (*merged.decisions, *found.ignored)
    problems = [*reading.problems, *found.problems, *wrong_routes]
    if not reading.failed & _ROUTING:
        problems += [*merged.problems, *admin_problems(settings, merged.routes, merged.decisions)]
        if not merged.routes and not (found.problems or wrong_routes or merged.problems):
            problems.append(no_route(environ, hosts, found.ignored, settings.links))
    unfit: list[str] = []
    if not (reading.failed & _ROUTING or found.problems or wrong_routes or merged.problems):
        open_ones, unfit = unfit_exceptions(settings, merged.routes, given=reading.given)
        problems += open_ones
    if not any(name.startswith("tunnel") for name in reading.failed):
        problems += tunnel_problems(settings, python=python) or (examine(settings) if examine is not None else ())
    if problems:
        raise ConfigurationError(tuple(problems))
    said = warnings(settings, given=reading.given, aliases=[link.alias for link in found.links])
    return Configuration(settings, merged.routes, decisions, (*found.warnings, *said, *unfit))
