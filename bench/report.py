"""Results as JSON: every sample, so that others can summarise them in their own way."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.relays.model import Relay
    from bench.results import Results
    from bench.shapes.model import Scale, Shape


def measured_relays(shapes: Sequence[Shape], results: Results) -> list[Relay]:
    """List the relays that have a sample, each once."""
    names = {sample.relay for sample in results.samples}
    every = {relay.name: relay for shape in shapes for relay in shape.relays}
    return [relay for name, relay in every.items() if name in names]


def configurations(shapes: Sequence[Shape], results: Results) -> dict[str, str]:
    """Write how each measured relay was run; 1111 stands for its listener and 2222 for its upstream."""
    return {relay.name: relay.shown() for relay in measured_relays(shapes, results)}


def as_json(shapes: Sequence[Shape], results: Results, machine: Mapping[str, str], scale: Scale) -> str:
    """Write the whole run."""
    return json.dumps(
        {
            "machine": dict(machine),
            "scale": dataclasses.asdict(scale),
            "shapes": {
                shape.name: {"title": shape.title, "metrics": [dataclasses.asdict(metric) for metric in shape.metrics]}
                for shape in shapes
            },
            "configurations": configurations(shapes, results),
            "samples": [dataclasses.asdict(sample) for sample in results.samples],
            "left out": [
                {"shape": shape, "relay": relay, "why": why} for (shape, relay), why in results.failures.items()
            ],
        },
        indent=1,
    )
