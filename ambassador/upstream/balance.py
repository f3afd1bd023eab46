"""Which endpoint a dial tries first, and which next.

A policy is a function from a route's endpoints to those of one round, in the order in which the dial tries them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ambassador.upstream.endpoint import ServedEndpoint

    Policy = Callable[[Sequence[ServedEndpoint]], list[ServedEndpoint]]


def first(endpoints: Sequence[ServedEndpoint]) -> list[ServedEndpoint]:
    """Try the endpoints in the order in which they were written."""
    return list(endpoints)
