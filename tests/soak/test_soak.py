"""One minute of the soak: `python -m tests.soak.soak --minutes 10` is the whole of it."""

from __future__ import annotations

import pytest

from tests.soak.soak import soak


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_minute_of_mixed_traffic_with_faults_loses_nothing() -> None:
    """In a minute of every kind of traffic memory stays flat, nothing is lost, and every byte is accounted for."""
    problems, said = soak(60)
    assert problems == [], said
