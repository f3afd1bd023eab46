"""What the project set itself to reach, and whether this run did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.relays.ambassador import ADMIN, AMBASSADOR, LOGGING, WATCHED
from bench.relays.haproxy import HAPROXY, SPLICING
from bench.relays.others import DOCKER_PROXY, OLDER_DOCKER_PROXY
from bench.relays.pairs import AMBASSADOR_KEY, STUNNEL
from bench.table import aligned, cell, number

if TYPE_CHECKING:
    from bench.relays.model import Relay
    from bench.results import Results
    from bench.summary import Spread


@dataclass(frozen=True)
class Target:
    """A bound on one figure of ours, or on its ratio to a peer's."""

    shape: str
    key: str
    most: float
    aim: float
    ours: Relay = AMBASSADOR
    peer: Relay | None = None

    def measured(self, results: Results) -> Spread | None:
        """Find the figure, where both were measured."""
        if self.peer is None:
            return results.spread(self.shape, self.ours.name, self.key)
        return results.ratio(self.shape, self.key, ours=self.ours.name, theirs=self.peer.name)

    def subject(self) -> str:
        """Name what is bounded."""
        against = f" / {self.peer.name}" if self.peer else ""
        return f"{self.shape} {self.key}: {self.ours.name}{against}"


BULK = ("bulk-up", "bulk-down", "bulk-both")
TARGETS = (
    *(Target(shape, "cpu", 0.75, 0.5, peer=peer) for shape in BULK for peer in (OLDER_DOCKER_PROXY, DOCKER_PROXY)),
    *(Target(shape, "cpu", 0.6, 0.3, peer=peer) for shape in BULK for peer in (HAPROXY, SPLICING)),
    *(Target(shape, "seconds", 1.0, 1.0, peer=SPLICING) for shape in BULK),  # throughput not below HAProxy's
    Target("paced", "p50", 1.0, 1.0, peer=HAPROXY),  # nor latency above it at the same load
    Target("paced", "p99", 1.0, 1.0, peer=HAPROXY),
    Target("clients-50", "cpu", 1.2, 1.0, peer=HAPROXY),
    Target("pipelined", "cpu", 1.2, 1.0, peer=HAPROXY),
    Target("reconnect", "cpu", 1.35, 1.1, peer=HAPROXY),
    Target("reconnect", "cpu", 1.6, 1.3, ours=LOGGING, peer=HAPROXY),
    *(Target("beside", "p99", 0.5, 0.2, peer=peer) for peer in (HAPROXY, SPLICING)),
    Target("beside", "p99", 1.5, 0.8, peer=DOCKER_PROXY),
    Target("idle", "memory", 4.5, 2.0),
    Target("resident", "resident", 66, 50, ours=ADMIN),
    # A scrape a second and an open page take at most 2 % of the throughput: 20 ms of each second.
    Target("watched", "rest", 20, 10, ours=WATCHED),
    Target("start", "seconds", 0.5, 0.2),
    *(Target(shape, "cpu", 1.0, 0.85, ours=AMBASSADOR_KEY, peer=STUNNEL) for shape in ("tunnel-up", "tunnel-down")),
)


def verdict(target: Target, measured: float) -> str:
    """Say where a figure stands; it never fails a run."""
    if measured <= target.aim:
        return "aim reached"
    return "within" if measured <= target.most else "over"


def targets_table(results: Results) -> str:
    """Write every target that was measured."""
    rows = [["target", "at most", "aim", "measured", ""]]
    for target in TARGETS:
        if found := target.measured(results):
            bounds = [number(target.most), number(target.aim)]
            rows.append([target.subject(), *bounds, cell(found), verdict(target, found.median)])
    return aligned(rows) if len(rows) > 1 else ""
