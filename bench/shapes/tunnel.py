"""Encrypted pairs: both processes' CPU for bulk, round trips and handshakes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.redis import Work, missing, redis
from bench.relays.pairs import PAIRS
from bench.shapes import bulk, messages
from bench.shapes.model import Metric, Scale, Shape

if TYPE_CHECKING:
    from bench.relays.model import Relay

HANDSHAKES = (Metric("cpu", "CPU s per 1k handshakes"), Metric("rate", "handshakes per CPU s", "more"))
CLIENTS = 20  # below spiped's limit of connections, with room for those that are closing


def handshakes(relay: Relay, upstream: int, scale: Scale) -> dict[str, float]:
    """Connect, ask once and close, through the pair; both ends' part of each handshake counts."""
    cpu = messages.measure(Work(CLIENTS, reconnect=True), 0.3, relay, upstream, scale)["cpu"]
    return {"cpu": cpu * 1000 / messages.PER, "rate": messages.PER / cpu}


def through_pairs(shape: Shape, name: str, title: str) -> Shape:
    """Put pairs in the place of single relays."""
    return replace(shape, name=name, title=title, relays=PAIRS, extra=True)


UP, DOWN, _ = bulk.SHAPES
CLIENT = messages.shape("", "", Work(CLIENTS), 0.5)
HANDSHAKE = Shape("", "", HANDSHAKES, PAIRS, redis, handshakes, missing)
SHAPES = (
    through_pairs(UP, "tunnel-up", "bulk up through an encrypted pair"),
    through_pairs(DOWN, "tunnel-down", "bulk down through an encrypted pair"),
    through_pairs(CLIENT, "tunnel-clients", "round trips of 20 clients through a pair"),
    through_pairs(HANDSHAKE, "tunnel-handshakes", "connect through a pair, one request, close"),
)
