"""A worker as its parent sees it: what it answers, and what it reported last."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from ambassador.workers.channel import Channel

if TYPE_CHECKING:
    import socket

    from ambassador.workers.worker import Slot

# A worker that lives does not take this long to answer, and nobody should wait longer for one that hangs.
_ANSWER_SECONDS = 1.0
# A worker that hangs is killed after some fifteen seconds: longer than a machine that swaps keeps anybody waiting.
_HANGS_AFTER = 5
_ASK_EVERY = 2.0


class WorkerHandle:
    """One worker, until it has died. Owns the parent's end of the channel.

    Attributes:
        limit: how many connections it may have; 0 before its first report.
        unanswered: how many questions of `watch` it has left without an answer since it was last heard.
        status: what wait(2) says of its end, as soon as it has one.
    """

    def __init__(self, slot: Slot, pid: int, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.slot = slot
        self.pid = pid
        self.channel = Channel(sock)
        self.started = loop.time()
        self.ready = False
        self.limit = 0
        self.unanswered = 0
        self.status: asyncio.Future[int] = loop.create_future()
        self.gone = False
        self._loop = loop
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[object]] = {}

    async def ask(self, question: str, **details: object) -> object:
        """Return the worker's answer; None when it dies or takes too long."""
        if self.gone:
            return None
        number = next(self._numbers)
        answer = self._answers[number] = self._loop.create_future()
        self.channel.send({"ask": question, "number": number, **details})
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._answers[number]

    async def watch(self) -> None:
        """Ask again and again, until the worker has ended or has not been heard for so many questions that it hangs.

        Questions are counted, not seconds: in a container that is paused nobody answers, but nobody asks either.
        """
        while not self.gone and self.unanswered < _HANGS_AFTER:
            if await self.ask("report") is None:
                self.unanswered += 1
            await asyncio.sleep(_ASK_EVERY)

    def answered(self, number: int, result: object) -> None:
        """Give an answer to who asked, if they still wait."""
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(result)

    def end(self) -> None:
        """Take note that the worker will say nothing more."""
        self.gone = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(None)
