"""What was measured, run by run, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.summary import Spread, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Sample:
    """One relay under one shape of work in one run."""

    shape: str
    relay: str
    run: int
    values: Mapping[str, float]


@dataclass
class Results:
    """All samples, and the reason for each (shape, relay) that has none or fewer."""

    samples: list[Sample] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def series(self, shape: str, relay: str, key: str) -> dict[int, float]:
        """Collect one figure of a relay, by run."""
        found = (sample for sample in self.samples if (sample.shape, sample.relay) == (shape, relay))
        return {sample.run: sample.values[key] for sample in found if key in sample.values}

    def spread(self, shape: str, relay: str, key: str) -> Spread | None:
        """Summarise one figure of a relay."""
        return spread(list(self.series(shape, relay, key).values()))

    def ratio(self, shape: str, key: str, *, ours: str, theirs: str) -> Spread | None:
        """Compare one figure of two relays, run by run."""
        return ratios(self.series(shape, ours, key), self.series(shape, theirs, key))
