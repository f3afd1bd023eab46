"""Medians, spreads and ratios of what several runs measured."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Spread:
    """A median, and the lowest and highest value beside it: with a handful of runs the extremes say the most."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Summarise *values*; none make no summary."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Compare *ours* with *theirs* run by run, since both met the same machine then; runs that lack one are out."""
    return spread([value / theirs[run] for run, value in ours.items() if theirs.get(run)])


def percentile(values: Sequence[float], share: float) -> float:
    """Find the value that *share* per cent of *values* do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)]
