"""Peers that vanish with data in flight."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.net import final_error

if TYPE_CHECKING:
    from tests.faults.conftest import Vanished


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_peer_that_vanished_with_data_in_flight_is_found_within_two_minutes(
    vanished: dict[str, Vanished], loop_name: str
) -> None:
    """A vanished upstream resets its client and a vanished client its upstream, as `peer_dead`; a stalled one lives."""
    one = vanished[loop_name]
    left = 120 - (time.monotonic() - one.since)
    for sock in (one.to_upstream, one.to_client):
        sock.settimeout(max(1.0, left))
        assert final_error(sock) is ConnectionResetError
    lines = one.running.closed(2)
    assert [line["end"] for line in lines] == ["peer_dead", "peer_dead"]
    # The stalled reader was never cut: what was sent to it is still there, and more comes.
    assert one.stalled.recv(1 << 20)
    assert len(one.running.named("connection.closed")) == 2
    assert one.running.process.poll() is None
