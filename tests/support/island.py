"""A network namespace whose names and addresses a test makes up: an ambassador in it meets what the test has there."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.net import black_hole
from tests.support.process import Ambassador
from tests.support.wire import Wire, needs, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_IPV4, _IPV6 = 4, 6
# What the namespace sees of these instead of ours (ip-netns(8)).
_FILES = Path("/etc/netns")


class Island(Wire):
    """A namespace with a link to this one, on which there are as many addresses as a test wants.

    Servers and clients are the test's own, on this side; an ambassador on the island dials the one and is dialled by
    the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._nets = {
            _IPV4: ipaddress.ip_network(f"198.19.{secrets.randbelow(256)}.0/24"),
            _IPV6: ipaddress.ip_network(f"fd00:198:19:{secrets.randbelow(1 << 16):x}::/64"),
        }
        self._next = 1
        self._files = _FILES / self.namespace
        self._stack = contextlib.ExitStack()

    def build(self) -> None:
        """Make the namespace, its link, and its routes."""
        super().build()
        for net in self._nets.values():
            self.inside("ip", "route", "add", str(net), "dev", self._theirs)
        self.inside("ip", "-6", "address", "add", str(self._nets[_IPV6][-2]), "dev", self._theirs, "nodad")
        self._files.mkdir(parents=True)
        self.hosts({})
        self._stack.callback(shutil.rmtree, self._files)

    def remove(self) -> None:
        """Remove it with all that it was given."""
        super().remove()
        self._stack.close()

    def nobody(self, version: int = _IPV4) -> str:
        """Return an address that nobody has: no ARP request for it is answered."""
        self._next += 1
        return str(self._nets[version][self._next])

    def address(self, version: int = _IPV4) -> str:
        """Return a new address of this side, for a server."""
        host = self.nobody(version)
        nodad = ["nodad"] if version == _IPV6 else []
        run("ip", f"-{version}", "address", "add", f"{host}/{128 if nodad else 32}", "dev", self._ours, *nodad)
        if nodad:  # or this side would not know the way back
            with contextlib.suppress(Exception):
                run("ip", "-6", "route", "add", str(self._nets[_IPV6]), "dev", self._ours)
        return host

    def dropped(self, version: int = _IPV4) -> str:
        """Return an address whose packets a firewall drops."""
        host = self.address(version)
        tool = "ip6tables" if version == _IPV6 else "iptables"
        self.inside(tool, "-A", "INPUT", "-s", host, "-j", "DROP")
        return host

    def full(self, port: int) -> str:
        """Return an address at which a listener on *port* has no room for another client."""
        host = self.address()
        self._stack.enter_context(black_hole(host, port))
        return host

    def hosts(self, names: Mapping[str, Sequence[str]]) -> None:
        """Have these names in the island's /etc/hosts."""
        lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
        (self._files / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]), encoding="ascii")

    def name_server(self, host: str) -> None:
        """Have the island ask *host* for all names that are not in its hosts file."""
        (self._files / "resolv.conf").write_text(f"nameserver {host}\n", encoding="ascii")

    def ambassador(self, *upstreams: str | int, settings: Mapping[str, str] | None = None) -> Ambassador:
        """Start an ambassador there with a route to each of *upstreams*; it listens on `there`."""
        started = Ambassador(
            upstreams, {"BIND": self.there, **(settings or {})},
            loop="uvloop", files=None, prelude="", arguments=(), links={}, prefix=self.prefix,
        )  # fmt: skip
        self._stack.callback(started.close)
        started.ready()
        return started


@contextlib.contextmanager
def island() -> Iterator[Island]:
    """Yield an island; skip the test where this machine does not let us make one, which CI has to."""
    needs("ip", "iptables", "ip6tables")
    made = Island()
    try:
        made.build()
        yield made
    finally:
        made.remove()
