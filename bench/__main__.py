"""The command: `python -m bench [SHAPE ...]`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.chart import chart
from bench.machine import describe, raise_file_limit
from bench.network import leave_the_machines
from bench.relays.ambassador import AMBASSADOR, before
from bench.report import as_json, configurations
from bench.results import Results
from bench.runner import run_shape
from bench.shapes.catalog import SHAPES, select
from bench.shapes.model import QUICK, Scale
from bench.table import shape_table
from bench.targets import targets_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.shapes.model import Shape

RUNS = 5  # enough for a median and its spread in about an hour for everything
QUICK_RUNS = 1


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join(shape.name for shape in SHAPES)
    made.add_argument("shape", nargs="*", help=f"a shape, or the first word of several; all but tunnel: {names}")
    made.add_argument("--runs", type=int, help=f"interleaved runs (default {RUNS}, with --quick {QUICK_RUNS})")
    made.add_argument("--quick", action="store_true", help="little work a run: a look, not a comparison")
    made.add_argument("--relay", action="append", metavar="NAME", help="only relays whose name begins so; repeatable")
    made.add_argument("--before", type=Path, metavar="CHECKOUT", help="measure an earlier checkout beside this one")
    made.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    made.add_argument("--svg", type=Path, metavar="FILE", help="write the chart")
    made.add_argument("--configuration", action="store_true", help="show how each relay was run")
    return made


def measure(shapes: Sequence[Shape], arguments: argparse.Namespace, *, runs: int, scale: Scale) -> Results:
    """Run every shape and print its table as soon as it is complete."""
    results = Results()
    chosen = tuple(arguments.relay or [""])
    for shape in shapes:
        if arguments.before and shape.relays[0] is AMBASSADOR:
            shape = replace(shape, relays=(AMBASSADOR, before(arguments.before), *shape.relays[1:]))  # noqa: PLW2901
        relays = [relay for relay in shape.relays if relay.name.startswith(chosen)]
        run_shape(shape, relays, scale, runs, results)
        print(f"\n{shape_table(shape, results)}", flush=True)
    return results


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parser().parse_args()
    try:
        shapes = select(arguments.shape)
    except ValueError as error:
        sys.exit(str(error))
    raise_file_limit()
    scale = QUICK if arguments.quick else Scale()
    runs = arguments.runs or (QUICK_RUNS if arguments.quick else RUNS)
    machine = describe(leave_the_machines())
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{runs} runs, medians (lowest-highest); ratios are taken run by run", flush=True)
    shapes = [replace(shape, title=shape.title.format_map(vars(scale))) for shape in shapes]
    results = measure(shapes, arguments, runs=runs, scale=scale)
    if table := targets_table(results):
        print(f"\n{table}")
    if arguments.configuration:
        for name, text in configurations(shapes, results).items():
            print(f"\n== {name}\n{text}")
    if arguments.json:
        arguments.json.write_text(as_json(shapes, results, machine, scale))
    if arguments.svg:
        arguments.svg.write_text(chart(shapes, results, machine, runs=runs))


if __name__ == "__main__":
    main()
