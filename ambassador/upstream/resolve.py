"""Names to addresses, one lookup in flight a name as long as answers come soon."""

from __future__ import annotations

import functools
import itertools
import math
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ambassador.config.hosts import parse_hosts
from ambassador.net.address import is_ip
from ambassador.upstream.lookups import Lookups
from ambassador.upstream.name_service import look_up

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from ambassador.config.routes import Endpoint
    from ambassador.upstream.helper import Answer

HOSTS_FILE = "/etc/hosts"
# A file changed this recently may change again within the same tick of its clock: such a reading is not kept.
_SETTLED_AFTER = 2.0
# A packet to the name server that is lost is missed after five seconds only (resolv.conf(5)). Whoever asks for the same
# name a second later asks anew, so that the loss delays nobody but those who were there; a few times, since a name
# server that is silent altogether must not cost a thread a client.
_ASK_AGAIN = 1.0
_MOST_THREADS = 3


class HostsFile:
    """The hosts file of this machine, read again whenever it changed (hosts(5))."""

    def __init__(self, path: str = HOSTS_FILE) -> None:
        self._path = path
        self._signature: tuple[int, ...] = ()
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses of *name* in the file's order, none if it is not there.

        None means that the file is empty: Docker empties and then writes it, so the name may be back in a moment.
        """
        names = self._read()
        return names.get(name.lower(), ()) if names else None

    def _read(self) -> dict[str, tuple[str, ...]]:
        try:
            stat = os.stat(self._path)
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if signature == self._signature:
                return self._names
            with open(self._path, encoding="utf-8", errors="replace", newline="\n") as file:
                names = parse_hosts(file.read())
        except OSError:
            return {}
        age = time.time() - stat.st_mtime  # noqa: TID251 - a file's times are of this clock
        self._names = names
        self._signature = signature if age > _SETTLED_AFTER else ()
        return names


class Candidates(NamedTuple):
    """The addresses that a dial of one endpoint would try, in order, and what they were found by."""

    addresses: tuple[str, ...]
    by: str


def candidates(endpoint: Endpoint, hosts: HostsFile, *, ask: Callable[[str], tuple[str, ...]] = look_up) -> Candidates:
    """Find the addresses that a dial of *endpoint* would try now. Blocks for as long as the name service takes.

    What the hosts file has for the endpoint's alias comes first, then a host that is an address itself, and only then
    the name service, by *ask*.

    Raises:
        OSError, UnicodeError: the host cannot be resolved.
    """
    host, alias = endpoint.address.host, endpoint.hosts_alias
    linked = hosts.addresses(alias) if alias else None
    if linked:
        return Candidates(linked, f"{HOSTS_FILE}, alias {alias}")
    if is_ip(host):
        return Candidates((host,), "address")
    return Candidates(ask(host), "name service")


class _Lookup:
    """A name that is being looked up, and who waits for its addresses."""

    __slots__ = ("asked", "name", "threads", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: list[Answer] = []
        self.threads = 0
        self.asked = -math.inf


class Resolver:
    """Look names up for the dials of one process. Call it from the event loop only; answers come there, too.

    *alone* says that this process is no worker, whose siblings look names up as well.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, hosts: HostsFile | None = None, alone: bool = True) -> None:
        self._loop = loop
        self._hosts = hosts or HostsFile()
        self._service = Lookups(loop, alone=alone)
        self._lookups: dict[str, _Lookup] = {}

    def prepare(self) -> None:
        """Get ready to look names up while there is room for that."""
        self._service.prepare()

    def close(self) -> None:
        """End the helper process, if there is one. Lookups under way may get no answer."""
        self._service.close()

    def linked(self, alias: str) -> tuple[str, ...] | None:
        """Return the addresses that the hosts file has for a linked container's alias; None while it is rewritten."""
        return self._hosts.addresses(alias)

    def lookup(self, name: str, answer: Answer) -> None:
        """Call *answer* with the addresses of *name*, or with none and the reason. Never calls it before returning.

        A lookup that is never answered stays a few threads, however many ask: the callers keep their own deadlines.
        """
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = self._lookups[name] = _Lookup(name)
        lookup.waiting.append(answer)
        now = self._loop.time()
        if lookup.threads < _MOST_THREADS and now - lookup.asked >= _ASK_AGAIN:
            lookup.threads += 1
            lookup.asked = now
            self._service.start(lookup.name, functools.partial(self._answer, lookup))

    def _answer(self, lookup: _Lookup, addresses: tuple[str, ...], reason: str | None) -> None:
        """Give the first answer to all who wait; those that come later are of no use to anybody."""
        if self._lookups.get(lookup.name) is lookup:
            del self._lookups[lookup.name]
            turns = _turned(addresses) if len(addresses) > 1 and not self._hosts.addresses(lookup.name) else None
            for answer in lookup.waiting:
                answer(next(turns) if turns is not None else addresses, reason)


def _turned(addresses: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield *addresses* again and again, those of a family each time with another one first.

    A name server that turns its answers (RFC 1794) spreads clients that each ask; those who share an answer would all
    go to the same address. Families stay where RFC 6724 has put them.
    """
    families = [list(group) for _, group in itertools.groupby(addresses, key=lambda address: ":" in address)]
    while True:
        yield tuple(address for family in families for address in family)
        for family in families:
            family.append(family.pop(0))
