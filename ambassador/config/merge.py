"""From links and explicit routes to routes: what merges, what clashes, what takes precedence, and the names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ambassador.config.addresses import overlap, without_covered
from ambassador.config.filter import normalised
from ambassador.config.problems import shown
from ambassador.config.routes import Decision, Endpoint, Route
from ambassador.config.routes_setting import Explicit
from ambassador.errors import Problem
from ambassador.net.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ambassador.config.filter import LinkFilter
    from ambassador.config.links import Link


@dataclass(frozen=True, slots=True)
class Merged:
    """The routes that links and explicit routes make, and what became of each of them."""

    routes: tuple[Route, ...]
    decisions: list[Decision]
    problems: list[Problem]


@dataclass(slots=True)
class _Draft:
    """A route without its name yet, and the links or explicit routes that it comes from."""

    port: int
    hosts: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    origins: list[Explicit | Link]
    alias: str | None = None

    def listen(self) -> tuple[Address, ...]:
        return tuple(Address(host, self.port) for host in self.hosts)

    def address(self) -> str:
        """Return the address that every LISTEN of it names, of those merged the widest; empty where one names none."""
        named = all(isinstance(origin, Explicit) and origin.host for origin in self.origins)
        return self.hosts[0] if named else ""

    def clashes(self, other: _Draft) -> bool:
        return any(overlap(one, another) for one in self.listen() for another in other.listen())

    def dials_as(self, other: _Draft | Link) -> bool:
        return _addresses(self.endpoints) == _addresses(other.endpoints)


@dataclass(slots=True)
class _Merge:
    bind: tuple[str, ...]
    wanted: LinkFilter
    drafts: list[_Draft] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    overridden: list[Link] = field(default_factory=list)

    def add_explicit(self, new: Explicit) -> None:
        """Add an explicit route, merged with earlier ones that listen on the same address and dial the same."""
        hosts = self.bind if new.host is None else (new.host,)
        draft = _Draft(new.port, hosts, new.endpoints, [new])
        rivals = [other for other in self.drafts if draft.clashes(other)]
        for rival in rivals:
            if not draft.dials_as(rival):
                where = f"same listen address as {rival.origins[0].text}, but another upstream"
                self.problems.append(new.problem(shown(where), "give each route its own PORT or ADDRESS:PORT"))
                return
        for rival in rivals:
            self.drafts.remove(rival)
            draft.hosts = without_covered(rival.hosts + draft.hosts)
            draft.origins = rival.origins + draft.origins
        self.drafts.append(draft)

    def add_links(self, port: int, links: list[Link]) -> None:
        """Add the links for one port, unless explicit routes decide what it serves."""
        # Compose 1 set three aliases for each container, DB, DB_1 and PROJECT_DB_1: the shortest is meant.
        links = sorted(links, key=lambda link: (len(link.alias), link.alias, link.source))
        deciding = [draft for draft in self.drafts if draft.port == port]
        if deciding:
            self.overridden += links
            for draft in deciding:
                draft.alias = _alias_for(draft, links)
            return
        first = links[0]
        draft = _Draft(port, self.bind, first.endpoints, list(links), first.alias)
        others = [link for link in links if not draft.dials_as(link)]
        if others:
            self.problems.append(_clash(first, others, self.wanted))
        else:
            self.drafts.append(draft)


def merge(links: Iterable[Link], explicit: Sequence[Explicit], bind: tuple[str, ...], wanted: LinkFilter) -> Merged:
    """Make the routes, sorted by port. *bind* is where a route listens that names no address itself.

    *wanted*, which the links have passed already, is for the advice only.
    """
    work = _Merge(bind, wanted)
    for new in explicit:
        work.add_explicit(new)
    by_port: defaultdict[int, list[Link]] = defaultdict(list)
    for link in links:
        by_port[link.port].append(link)
    taken = {new.port for new in explicit}
    for port in sorted(by_port):
        # Explicit routes that clash keep their port all the same: its links are not reported as a second problem.
        if port not in taken or any(draft.port == port for draft in work.drafts):
            work.add_links(port, by_port[port])
    return _named(work)


def _named(work: _Merge) -> Merged:
    drafts = sorted(work.drafts, key=lambda draft: (draft.port, draft.hosts))
    routes, decisions = [], []
    for draft in drafts:
        name = _name(draft)
        first, *others = draft.origins
        routes.append(Route(name, draft.alias, draft.listen(), draft.endpoints, first.source, draft.address()))
        decisions.append(_decision(first, name, _follows(draft.endpoints)))
        same = first.text if isinstance(first, Explicit) else first.source
        decisions += [_decision(other, name, f"same as {same}") for other in others]
    overridden = [
        _decision(link, None, f"overridden by an explicit route for port {link.port}") for link in work.overridden
    ]
    return Merged(tuple(routes), decisions + overridden, work.problems)


def _name(draft: _Draft) -> str:
    """Name a route `alias:port` or `:port`, with the address before the port if it is written so: `alias:address:port`.

    No other route has a say in it: a name is what settings and dashboards know a route by.
    """
    address = draft.address()
    where = str(Address(address, draft.port)) if address else f":{draft.port}"
    if draft.alias is None:
        return where
    return f"{draft.alias}:{where}" if address else f"{draft.alias}{where}"


def _decision(origin: Explicit | Link, route: str | None, reason: str) -> Decision:
    return Decision(shown(origin.source), origin.text, route, reason)


def _follows(endpoints: tuple[Endpoint, ...]) -> str:
    aliases = [endpoint.hosts_alias for endpoint in endpoints if endpoint.hosts_alias]
    return f"follows {shown(aliases[0])} in /etc/hosts" if aliases else ""


def _addresses(endpoints: tuple[Endpoint, ...]) -> list[Address]:
    return [endpoint.address for endpoint in endpoints]


def _alias_for(draft: _Draft, links: list[Link]) -> str | None:
    """Choose the alias of an explicit route: of the link with the same upstream, else of the only link there is."""
    same = [link.alias for link in links if draft.dials_as(link)]
    aliases = {link.alias for link in links}
    return same[0] if same else links[0].alias if len(aliases) == 1 else None


def _clash(first: Link, others: list[Link], wanted: LinkFilter) -> Problem:
    """Make the problem of links that claim one port for different upstreams."""
    second, more = others[0], len(others) - 1
    rivals = f"{shown(second.source)}={second.text}" + (f" and {more} more" if more else "")
    endpoints = ",".join(map(str, _addresses(first.endpoints)))
    right = f"choose with AMBASSADOR_ROUTES={first.port}={shown(endpoints)}"
    if normalised(first.alias) != normalised(second.alias):
        right = f"{wanted.leave_out(shown(second.alias))}, or {right}"
    return Problem(
        shown(first.source),
        first.text,
        f"claims port {first.port}, but so does {rivals}, with another upstream",
        right,
    )
