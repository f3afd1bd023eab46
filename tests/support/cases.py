"""Cases of a test of which the quick run takes a few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence


def quick(number: int, cases: Sequence[object]) -> list[object]:
    """Leave the first *number* of the cases as they are, and mark the others as slow; a tuple is several arguments."""
    return [
        case
        if place < number
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]
