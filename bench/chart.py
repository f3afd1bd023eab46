"""Results as a picture for the README: one panel a shape, one bar a relay, readable on light and on dark pages."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import TYPE_CHECKING

from bench.table import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.results import Results
    from bench.shapes.model import Shape
    from bench.summary import Spread

WIDTH, MARGIN, COLUMNS = 920, 24, 2  # a README is about so wide
PANEL = (WIDTH - 3 * MARGIN) // COLUMNS
NAME, FIGURE = 166, 56  # room for a relay's name before its bar and for its figure behind
BAR = PANEL - NAME - FIGURE
ROW, HEAD, THICK = 22, 48, 14
LINE = 125  # characters of the footer that fit
LONGEST = 3.0  # medians; a bar beyond is cut and says so by its gap, or the others could not be told apart
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .quiet { fill: #59636e; font-size: 12px }
.card { fill: #ffffff; stroke: #d1d9e0 } .peer { fill: #b6c0ca } .ours { fill: #0969da }
.figure { font-variant-numeric: tabular-nums } .whisker { stroke: #59636e; stroke-width: 1.5 } .gap { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d } .peer { fill: #59636e } .ours { fill: #4493f8 }
.whisker { stroke: #c0c8d0 } .gap { fill: #0d1117 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One relay's figure."""

    name: str
    spread: Spread


def bars(shape: Shape, results: Results) -> list[Bar]:
    """Collect the relays that cost anything under *shape*; no relay at all costs nothing, and needs no bar."""
    names = [relay.name for relay in shape.relays]
    found = [(name, results.spread(shape.name, name, shape.metrics[0].key)) for name in names]
    return [Bar(name, spread) for name, spread in found if spread and spread.median > 0]


def draw_bar(bar: Bar, full: float, top: float) -> str:
    """Draw a name, a bar, the spread on it, and the figure."""
    kind = "ours" if bar.name.startswith("ambassador") else "peer"
    middle = top + THICK / 2

    def length(value: float) -> float:
        return BAR * min(value, full) / full

    end = length(bar.spread.median)
    low, high = NAME + length(bar.spread.low), NAME + length(bar.spread.high)
    parts = [
        f'<text x="{NAME - 8}" y="{middle + 4.5}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect class="{kind}" x="{NAME}" y="{top}" width="{end:.1f}" height="{THICK}" rx="2"/>',
    ]
    if bar.spread.median > full:
        parts.append(f'<rect class="gap" x="{NAME + end - 14:.1f}" y="{top}" width="4" height="{THICK}"/>')
    elif high - low > 2:
        parts.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
    edge = NAME + end if bar.spread.median > full else max(NAME + end, high)
    parts.append(f'<text class="figure" x="{edge + 6:.1f}" y="{middle + 4.5}">{number(bar.spread.median)}</text>')
    return "".join(parts)


def draw_panel(shape: Shape, shown: Sequence[Bar]) -> str:
    """Draw one shape's title, unit and bars."""
    values = [bar.spread.median for bar in shown]
    full = min(max(bar.spread.high for bar in shown), LONGEST * median(values))
    metric = shape.metrics[0]
    head = (
        f'<text class="title" x="0" y="14">{escape(shape.title)}</text>'
        f'<text class="quiet" x="0" y="32">{escape(metric.title)}, {metric.better} is better</text>'
    )
    return head + "".join(draw_bar(bar, full, HEAD + ROW * row) for row, bar in enumerate(shown))


def footer(machine: Mapping[str, str], runs: int) -> list[str]:
    """Say when, where and with which versions, in lines that fit."""
    system = f"{machine['kernel']}, TCP's congestion control {machine['congestion control']}"
    cores = f"{machine['cores']} cores ({machine['processor']})"
    place = f"{machine['date']}, {system}, {cores}, network {machine['network']}"
    versions = [f"{name} {machine[name]}" for name in list(machine)[7:]]
    text = f"Medians of {runs} interleaved runs, lines from lowest to highest; {place}; {', '.join(versions)}"
    return textwrap.wrap(text, LINE)


def chart(shapes: Sequence[Shape], results: Results, machine: Mapping[str, str], *, runs: int) -> str:
    """Draw every shape that was measured, two in a row."""
    panels = [(shape, shown) for shape in shapes if (shown := bars(shape, results))]
    drawn, top = [], MARGIN
    for first in range(0, len(panels), COLUMNS):
        line = panels[first : first + COLUMNS]
        for column, (shape, shown) in enumerate(line):
            place = f"translate({MARGIN + column * (PANEL + MARGIN)} {top})"
            drawn.append(f'<g transform="{place}">{draw_panel(shape, shown)}</g>')
        top += HEAD + ROW * max(len(shown) for _, shown in line) + MARGIN
    for text in footer(machine, runs):
        drawn.append(f'<text class="quiet" x="{MARGIN}" y="{top}">{escape(text)}</text>')
        top += 18
    title = "Ambassador beside other relays"
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1}" rx="8"/>'
    return "\n".join([head, f"<title>{title}</title><style>{STYLE}</style>", card, *drawn, "</svg>"]) + "\n"
