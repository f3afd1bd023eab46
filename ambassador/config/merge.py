"""Links and explicit routes to routes: what merges, what clashes, what beats what, and how they are called."""

from __future__ import annotations

from collections import Counter, defaultdict
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
    """What links and explicit routes come down to."""

    routes: tuple[Route, ...]
    decisions: list[Decision]
    problems: list[Problem]


@dataclass(slots=True)
class _Draft:
    """A route before it has its name, and the variables or explicit routes behind it."""

    port: int
    hosts: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    origins: list[Explicit | Link]
    alias: str | None = None

    def listen(self) -> tuple[Address, ...]:
        return tuple(Address(host, self.port) for host in self.hosts)

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
        """Take in an explicit route, with those before it that listen on the same and dial the same."""
        hosts = self.bind if new.host is None else (new.host,)
        draft = _Draft(new.port, hosts, new.endpoints, [new])
        rivals = [other for other in self.drafts if draft.clashes(other)]
        for rival in rivals:
            if not draft.dials_as(rival):
                where = f"listens where {rival.origins[0].text} does, but dials another upstream"
                self.problems.append(new.problem(shown(where), "give each a port or an ADDRESS:PORT of its own"))
                return
        for rival in rivals:
            self.drafts.remove(rival)
            draft.hosts = without_covered(rival.hosts + draft.hosts)
            draft.origins = rival.origins + draft.origins
        self.drafts.append(draft)

    def add_links(self, port: int, links: list[Link]) -> None:
        """Take in the links for one port, unless explicit routes decide what it serves."""
        # Compose once set three aliases for each container, DB, DB_1 and PROJECT_DB_1: the shortest is the one meant.
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

    *wanted*, which the links have passed, is for the advice.
    """
    work = _Merge(bind, wanted)
    for new in explicit:
        work.add_explicit(new)
    by_port: defaultdict[int, list[Link]] = defaultdict(list)
    for link in links:
        by_port[link.port].append(link)
    taken = {new.port for new in explicit}
    for port in sorted(by_port):
        # A port whose explicit routes clash is theirs all the same: its links are no second problem.
        if port not in taken or any(draft.port == port for draft in work.drafts):
            work.add_links(port, by_port[port])
    return _named(work)


def _named(work: _Merge) -> Merged:
    drafts = sorted(work.drafts, key=lambda draft: (draft.port, draft.hosts))
    on_port = Counter(draft.port for draft in drafts)
    routes, decisions = [], []
    for draft in drafts:
        name = _name(draft, alone=on_port[draft.port] == 1)
        first, *others = draft.origins
        routes.append(Route(name, draft.alias, draft.listen(), draft.endpoints, first.source))
        decisions.append(_decision(first, name, _follows(draft.endpoints)))
        same = first.text if isinstance(first, Explicit) else first.source
        decisions += [_decision(other, name, f"the same as {same}") for other in others]
    overridden = [_decision(link, None, f"an explicit route decides for port {link.port}") for link in work.overridden]
    return Merged(tuple(routes), decisions + overridden, work.problems)


def _name(draft: _Draft, *, alone: bool) -> str:
    """Name a route `alias:port` or `:port`; where others have that port, too, the address stands before the port."""
    where = f":{draft.port}" if alone else str(draft.listen()[0])
    return where if draft.alias is None else f"{draft.alias}{where if alone else f':{where}'}"


def _decision(origin: Explicit | Link, route: str | None, reason: str) -> Decision:
    return Decision(shown(origin.source), origin.text, route, reason)


def _follows(endpoints: tuple[Endpoint, ...]) -> str:
    aliases = [endpoint.hosts_alias for endpoint in endpoints if endpoint.hosts_alias]
    return f"follows {shown(aliases[0])} in /etc/hosts" if aliases else ""


def _addresses(endpoints: tuple[Endpoint, ...]) -> list[Address]:
    return [endpoint.address for endpoint in endpoints]


def _alias_for(draft: _Draft, links: list[Link]) -> str | None:
    """Choose whose alias an explicit route keeps: of the link with its upstream, else of the only one there is."""
    same = [link.alias for link in links if draft.dials_as(link)]
    aliases = {link.alias for link in links}
    return same[0] if same else links[0].alias if len(aliases) == 1 else None


def _clash(first: Link, others: list[Link], wanted: LinkFilter) -> Problem:
    """Make the problem of links that want one port for different upstreams."""
    second, more = others[0], len(others) - 1
    rivals = f"{shown(second.source)}={second.text}" + (f" and {more} more" if more else "")
    endpoints = ",".join(map(str, _addresses(first.endpoints)))
    right = f"decide by AMBASSADOR_ROUTES={first.port}={shown(endpoints)}"
    if normalised(first.alias) != normalised(second.alias):
        right = f"{wanted.leave_out(shown(second.alias))}, or {right}"
    return Problem(
        shown(first.source),
        first.text,
        f"wants port {first.port} for its upstream, and so does {rivals}",
        right,
    )
