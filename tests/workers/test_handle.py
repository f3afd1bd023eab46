"""What a parent asks a worker that dies meanwhile."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.workers.channel import Channel
from ambassador.workers.handle import WorkerHandle
from ambassador.workers.worker import Slot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def handle() -> AsyncIterator[tuple[WorkerHandle, Channel]]:
    """Return a worker as its parent sees it, and the worker's end of the channel."""
    ours, theirs = socket.socketpair()
    handle, worker = WorkerHandle(Slot(0, 1, 1), 4711, ours, asyncio.get_running_loop()), Channel(theirs)
    reading = asyncio.ensure_future(handle.channel.receive())
    yield handle, worker
    await worker.close()
    assert await reading is None
    await handle.channel.close()


async def test_a_question_that_a_worker_leaves_open_at_its_death_has_no_answer(
    handle: tuple[WorkerHandle, Channel],
) -> None:
    """Whoever waits for a worker that dies is told so then, and whoever asks later is told at once."""
    asked, worker = handle
    question = asyncio.ensure_future(asked.ask("report"))
    assert await worker.receive() == {"ask": "report", "number": 1}

    asked.end()

    assert await question is None
    assert await asked.ask("report") is None


async def test_an_answer_outlives_its_worker(handle: tuple[WorkerHandle, Channel]) -> None:
    """What a worker has answered before it died is what it has answered."""
    asked, worker = handle
    question = asyncio.ensure_future(asked.ask("kill", connection=7))
    assert await worker.receive() == {"ask": "kill", "number": 1, "connection": 7}

    asked.answered(1, True)  # noqa: FBT003 - a worker's word
    asked.end()

    assert await question is True
