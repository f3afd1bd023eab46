"""Wait for facts, not for time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Seconds for what takes milliseconds: a loaded machine with two cores has to get there, too.
PATIENCE = 30.0
_LOOK_EVERY = 0.01


def eventually(fact: Callable[[], T | None], what: str = "", *, patience: float = PATIENCE) -> T:
    """Return what *fact* returns as soon as it is true; fail when that takes longer than *patience* seconds."""
    deadline = time.monotonic() + patience
    while not (found := fact()):
        assert time.monotonic() < deadline, f"never came true in {patience:g} s: {what or fact}; last: {found!r}"
        time.sleep(_LOOK_EVERY)
    return found


async def soon(fact: Callable[[], T | None], what: str = "", *, patience: float = PATIENCE) -> T:
    """Do as `eventually`, and let the event loop turn meanwhile."""
    deadline = time.monotonic() + patience
    while not (found := fact()):
        assert time.monotonic() < deadline, f"never came true in {patience:g} s: {what or fact}; last: {found!r}"
        await asyncio.sleep(_LOOK_EVERY)
    return found
