"""All scenarios, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracle.dials import dials
from oracle.endings import endings
from oracle.streams import streams
from oracle.urgent import urgent

if TYPE_CHECKING:
    from oracle.scenario import Scenario

FAMILIES: dict[str, tuple[Scenario, ...]] = {
    "Endings": endings(),
    "Streams, silences, back-pressure and endings on top of endings": streams(),
    "Urgent bytes": urgent(),
    "Dials": dials(),
}
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for family in FAMILIES.values() for scenario in family}
assert len(SCENARIOS) == sum(map(len, FAMILIES.values())), "two scenarios share a name"
