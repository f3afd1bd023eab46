"""What the tests of dials share."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test moves on."""
    return FakeClock()
