"""Link variables, as Docker and Kubernetes set them and users write them: environment to links, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ambassador.config.addresses import canonical_ip, port_number, upstream_address
from ambassador.config.names import bare_name
from ambassador.config.problems import Invalid, left_in, quoted, shown
from ambassador.config.routes import Decision, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ambassador.config.filter import LinkFilter
    from ambassador.errors import Problem
    from ambassador.net.address import Address

# Greedy: an alias may itself end in something like a link's name.
_NAME = re.compile(r"([!-~]+)_PORT_([0-9]+)_(TCP|UDP|SCTP)")
_NAME_IN_ANY_CASE = re.compile(_NAME.pattern, re.IGNORECASE)
_BEYOND_ASCII = "not a link: characters beyond ASCII in its name; write an alias without, or AMBASSADOR_ROUTES"
_NAME_OF_ANY_LETTERS = re.compile(r".+_PORT_[0-9]+_(TCP|UDP|SCTP)", re.DOTALL)


class LinkName(NamedTuple):
    """The parts of a link variable's name. The port is any number, also 0 or 99999."""

    alias: str
    port: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is to be served: listen on *port*, dial the endpoints.

    Attributes:
        source: the variable.
        text: its value, fit to be shown.
        alias: in lower case.
    """

    source: str
    text: str
    alias: str
    port: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Links:
    """The links of an environment, and what became of the variables that are not served."""

    links: list[Link] = field(default_factory=list)
    ignored: list[Decision] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def link_name(variable: str) -> LinkName | None:
    """Split a variable's name into its parts; None if it is not a link's."""
    match = _NAME.fullmatch(variable)
    return LinkName(*match.groups()) if match else None


def find_links(environ: Mapping[str, str], wanted: LinkFilter) -> Links:
    """Find the links of an environment, sorted by variable. Problems are collected, none ends the search."""
    found = Links()
    for variable in sorted(environ):
        bare = bare_name(variable)
        name = link_name(bare)
        value = environ[variable].strip()
        if name is None:
            reason = _why_no_name(bare)
            _ignore(found, variable, value, reason, warn=reason == _BEYOND_ASCII)
        elif bare == variable:
            _add(found, name, variable, value, environ, wanted)
        elif bare in environ:
            _ignore(found, variable, value, f"not a link: {shown(bare)} is set as well", warn=True)
        else:
            found.warnings.append(
                f"{shown(variable)}: read as {shown(bare)}; its name has quotes, blanks or marks in it"
            )
            _add(found, name, bare, value, environ, wanted)
    return found


def _why_no_name(bare: str) -> str | None:
    """Say why a variable is not a link that nearly has the name of one."""
    if _NAME_IN_ANY_CASE.fullmatch(bare):
        return "not a link: _PORT_ and _TCP must be upper case"
    if _NAME_OF_ANY_LETTERS.fullmatch(bare):
        return _BEYOND_ASCII
    return None


def _ignore(found: Links, variable: str, value: str, reason: str | None, *, warn: bool = False) -> None:
    if reason is None:
        return
    found.ignored.append(Decision(shown(variable), shown(value), None, reason))
    if warn:
        found.warnings.append(f"{shown(variable)}={shown(value)}: {reason}")


def _add(
    found: Links, name: LinkName, variable: str, value: str, environ: Mapping[str, str], wanted: LinkFilter
) -> None:
    reason = _why_no_link(variable, value, environ) or wanted.why_not(name.alias)
    if reason is not None or name.protocol != "TCP":
        _ignore(found, variable, value, reason or f"{name.protocol} links are not supported", warn=reason is None)
        return
    try:
        found.links.append(_link(name, variable, value, environ))
    except Invalid as invalid:
        found.problems.append((left_in(value) or invalid).of(shown(variable), value))


def _why_no_link(variable: str, value: str, environ: Mapping[str, str]) -> str | None:
    """Say why a variable that is named like a link is not one; None if it is."""
    linked = _copied_by(variable, environ)
    if linked is not None:
        return f"copied from the linked container's environment ({linked}_NAME is set)"
    if not value:
        return "not a link: empty value"
    if value.isascii() and value.isdigit():
        # A Kubernetes port named 8080-tcp makes WEB_SERVICE_PORT_8080_TCP=8080.
        return "not a link: the value is a bare number"
    return None


def _copied_by(variable: str, environ: Mapping[str, str]) -> str | None:
    """Return the alias whose container had this variable, which Docker copied as <ALIAS>_ENV_<VARIABLE>."""
    for mark in re.finditer("(?=_ENV_)", variable):
        alias, remainder = variable[: mark.start()], variable[mark.start() + len("_ENV_") :]
        if f"{alias}_NAME" in environ and link_name(remainder):
            return alias
    return None


def _link(name: LinkName, variable: str, value: str, environ: Mapping[str, str]) -> Link:
    try:
        port = port_number(name.port)
    except Invalid as invalid:
        raise Invalid(f"{invalid.wrong} in the variable's name", invalid.right) from None
    addresses = _addresses(value, str(port))
    if len(addresses) > 1:
        endpoints = tuple(map(Endpoint, addresses))
    else:
        endpoints = (Endpoint(addresses[0], _hosts_alias(name, variable, environ, addresses[0].host)),)
    return Link(variable, shown(value), name.alias.lower(), port, endpoints)


def _addresses(value: str, port: str) -> tuple[Address, ...]:
    """Read tcp://HOST:PORT,tcp://HOST:PORT; a repeated address counts once."""
    if "@" in value:
        raise Invalid("unexpected user or password", f"write tcp://HOST:{port}")
    parts = [part.strip() for part in value.split(",")]
    if len(parts) == 1:
        return (_address(value, port),)
    found: dict[Address, None] = {}
    for part in parts:
        try:
            found[_address(part, port)] = None
        except Invalid as invalid:
            where = f", in {quoted(part)}" if part else ""
            raise Invalid(f"{invalid.wrong}{where}", invalid.right) from None
    return tuple(found)


def _address(text: str, port: str) -> Address:
    if not text:
        raise Invalid("empty item in the list", f"write tcp://HOST:{port},tcp://HOST:{port}")
    if len(text.split()) > 1:
        raise Invalid("unexpected white space", f"separate endpoints with commas: tcp://HOST:{port},tcp://HOST:{port}")
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() == "tcp":
        return upstream_address(rest, scheme="tcp://", port=port)
    address = rest if mark else text
    try:
        right = str(upstream_address(address))
    except Invalid:
        right = f"HOST:{port}"
    wrong = f"unsupported scheme {quoted(scheme)}" if mark else "missing tcp://"
    raise Invalid(wrong, f"write tcp://{right}")


def _hosts_alias(name: LinkName, variable: str, environ: Mapping[str, str], host: str) -> str | None:
    """Return the name to look up in /etc/hosts at each dial, where Docker made the link and nobody overrode it.

    Docker rewrites /etc/hosts when the linked container restarts; the variables keep an address that may by then be
    another container's. Docker sets _ADDR beside the value, so a value that the user overrode differs from it.
    """
    linked = environ.get(f"{name.alias}_NAME")
    address = environ.get(f"{variable}_ADDR")
    if linked is None or address is None or (canonical_ip(address) or address.lower()) != host:
        return None
    return linked.rpartition("/")[2] or None
