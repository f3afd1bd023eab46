"""What a shape of work is: what stands behind the relay, what is put on it, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.relays.model import always

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bench.relays.model import Relay


@dataclass(frozen=True)
class Metric:
    """One figure of a shape; the first metric of a shape is the one that relays are compared by."""

    key: str
    title: str  # with its unit
    better: Literal["less", "more"] = "less"


@dataclass(frozen=True)
class Scale:
    """How much work a sample is: enough for a second or more of a good relay, so that ticks and starts vanish."""

    bulk_bytes: int = 3 << 30
    requests: int = 100_000
    reconnects: int = 10_000
    seconds: float = 8.0
    idle: int = 5000
    resident: int = 3000
    rate: int = 4000  # requests a second that every relay can carry


QUICK = Scale(
    bulk_bytes=1 << 30, requests=20_000, reconnects=2000, seconds=2.0, idle=1000, resident=1000
)  # for a look, not for a comparison


@dataclass(frozen=True)
class Shape:
    """One kind of work. *measure* takes a relay, the upstream's port and the scale; it returns a value for each key."""

    name: str
    title: str  # with fields of the scale in braces
    metrics: tuple[Metric, ...]
    relays: tuple[Relay, ...]
    upstream: Callable[[], AbstractContextManager[int]]
    measure: Callable[[Relay, int, Scale], dict[str, float]]
    missing: Callable[[], str | None] = always
    extra: bool = False  # runs only when it is asked for
