"""Results as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.results import Results
    from bench.shapes.model import Shape
    from bench.summary import Spread


def number(value: float) -> str:
    """Write three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def cell(spread: Spread | None) -> str:
    """Write the median and, where there is more than one value, the lowest and the highest."""
    if spread is None:
        return ""
    if spread.low == spread.high:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)}-{number(spread.high)})"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Set *rows* in columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def shape_table(shape: Shape, results: Results) -> str:
    """Write every relay's figures under *shape*, and by how much ours differs in the first one."""
    first, ours = shape.metrics[0], shape.relays[0].name
    heads = ["", *(metric.title for metric in shape.metrics), f"{ours} / this"]
    rows = [heads]
    for name in (relay.name for relay in shape.relays):
        if not results.series(shape.name, name, first.key):
            continue
        figures = [cell(results.spread(shape.name, name, metric.key)) for metric in shape.metrics]
        ratio = None if name == ours else results.ratio(shape.name, first.key, ours=ours, theirs=name)
        rows.append([name, *figures, cell(ratio)])
    return f"{shape.name}: {shape.title}\n{aligned(rows)}"
