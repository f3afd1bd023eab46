"""Readers that stall."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.net import digest_to_end

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

READERS = 20
EACH = 50_000_000


@pytest.mark.slow
def test_20_stalled_readers_with_50_mb_each(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """What stalled readers leave unread stays out of our memory, and once they read every byte is there."""
    data = random.Random(7).randbytes(EACH)  # noqa: S311 - data, no secret
    expected = hashlib.sha256(data).hexdigest()
    sent: list[int] = []

    def pour(client: socket.socket) -> None:
        client.sendall(data)
        sent.append(1)
        client.shutdown(socket.SHUT_WR)
        client.recv(1)

    running = ambassador(serve(pour).port, loop=loop_name)
    before = running.memory()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(READERS)]
        calm = [running.cpu(), time.monotonic()]

        def stalled() -> bool:
            """Tell whether the process has had nothing to do for a while."""
            if running.cpu() - calm[0] > 0.02:
                calm[:] = [running.cpu(), time.monotonic()]
            return time.monotonic() - calm[1] > 0.5

        eventually(stalled, "that everything is as full as it gets")
        assert not sent
        # The contract allows 300 KiB a connection; the rest is what Python needs to grow at all.
        assert running.memory() - before < READERS * 300 * 1024 + 8_000_000
        for client in clients:
            assert digest_to_end(client) == (EACH, expected)
    assert running.memory() - before < READERS * 300 * 1024 + 8_000_000
    lines = running.closed(READERS)
    assert {(line["end"], line["bytes_down"]) for line in lines} == {("closed", EACH)}
