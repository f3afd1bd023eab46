"""Every shape, in the order of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.shapes import beside, bulk, idle, messages, start, tunnel, watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.shapes.model import Shape

SHAPES: tuple[Shape, ...] = (
    *bulk.SHAPES,
    *messages.SHAPES,
    *beside.SHAPES,
    *idle.SHAPES,
    *start.SHAPES,
    *watched.SHAPES,
    *tunnel.SHAPES,
)


def select(words: Sequence[str]) -> list[Shape]:
    """Find the shapes that a word names or begins, up to a hyphen; no words mean all but the extra ones.

    Raises:
        ValueError: a word names no shape.
    """
    if not words:
        return [shape for shape in SHAPES if not shape.extra]
    named = {word: [shape for shape in SHAPES if f"{shape.name}-".startswith(f"{word}-")] for word in words}
    if unknown := [word for word, shapes in named.items() if not shapes]:
        raise ValueError(f"no shape is called {', '.join(unknown)}; there are {', '.join(s.name for s in SHAPES)}")
    return [shape for shape in SHAPES if any(shape in shapes for shapes in named.values())]
