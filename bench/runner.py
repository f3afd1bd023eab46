"""The interleaved run: every relay once under a shape, then all again, so that a slow minute strikes all alike."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bench.results import Results, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.relays.model import Relay
    from bench.shapes.model import Scale, Shape

ERRORS = (RuntimeError, AssertionError, OSError, subprocess.SubprocessError, StopIteration)


def say(text: str) -> None:
    """Tell what is going on, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def able(shape: Shape, relays: Iterable[Relay], results: Results) -> list[Relay]:
    """Keep the relays that can run here, and record why the others cannot."""
    reasons = {relay.name: relay.missing() for relay in relays}
    for name, reason in reasons.items():
        if reason:
            say(f"{shape.name}: {name} is left out: {reason}")
            results.failures[shape.name, name] = reason
    return [relay for relay in relays if not reasons[relay.name]]


def turn(relays: Sequence[Relay], run: int) -> list[Relay]:
    """Start each run with another relay, so that none always follows the same one."""
    start = run % len(relays) if relays else 0
    return [*relays[start:], *relays[:start]]


def run_shape(shape: Shape, relays: Sequence[Relay], scale: Scale, runs: int, results: Results) -> None:
    """Measure *relays* under *shape*, *runs* times each; a relay that fails is out for the rest of the shape."""
    if reason := shape.missing():
        say(f"{shape.name} is left out: {reason}")
        return
    fit = able(shape, relays, results)
    with shape.upstream() as upstream:
        for run in range(runs):
            for relay in turn(fit, run):
                if (shape.name, relay.name) in results.failures:
                    continue
                try:
                    values = shape.measure(relay, upstream, scale)
                except ERRORS as error:
                    say(f"{shape.name}: {relay.name} failed: {error}")
                    results.failures[shape.name, relay.name] = f"failed: {error}"
                    continue
                results.samples.append(Sample(shape.name, relay.name, run, values))
                shown = ", ".join(f"{metric.title} {values[metric.key]:.3g}" for metric in shape.metrics)
                say(f"{shape.name} {run + 1}/{runs} {relay.name}: {shown}")
