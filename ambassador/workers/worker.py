"""A worker: serves like a process of its own, on its parent's sockets and at its parent's word."""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ambassador.admin.overview import LocalOverview
from ambassador.server import report
from ambassador.server.process import Process, State
from ambassador.workers.channel import Channel
from ambassador.workers.sharing import SharingListener
from ambassador.workers.upstreams import last_dials

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from structlog.typing import EventDict, Processor, WrappedLogger

    from ambassador.config.configuration import Configuration
    from ambassador.log import Output
    from ambassador.workers.channel import Message
    from ambassador.workers.sharing import Loads

# Exit code of a worker that could not serve at all: its successor could not, either.
CANNOT_SERVE = 3
# Counts that are no older than this outlive a worker that is killed ...
_REPORT_EVERY = 0.25
# ... unless making a report takes more than this share of the time: with ten thousand connections it takes a while.
_REPORTING_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands among its siblings.

    Attributes:
        index: which of them it is; whoever succeeds it has the same.
        workers: how many they are.
        first: what it counts its connections from, so that no number of a predecessor comes again.
    """

    index: int
    workers: int
    first: int


class WorkerProcess(Process):
    """Serve as a process does, but heed the parent instead of signals, and tell it what matters to all."""

    draining_event = "worker.draining"
    cut_event = "worker.cut"
    stopped_event = "worker.stopped"

    def __init__(
        self,
        configuration: Configuration,
        loop: asyncio.AbstractEventLoop,
        place: Place,
        loads: Loads,
        tell: Callable[[Message], None],
    ) -> None:
        super().__init__(configuration, loop, share=place.workers)
        # A connection's number, modulo the number of workers, says whose it is.
        self.next_id = itertools.count(place.first * place.workers + place.index, place.workers).__next__
        self._place = place
        self._loads = loads
        self._tell = tell

    def take(self, sockets: Sequence[Sequence[socket.socket]]) -> None:
        """Take over the parent's listening sockets, which the siblings accept from, too."""
        for service, group in zip(self.services, sockets, strict=True):
            self.listeners.extend(
                SharingListener(sock, service, self, loads=self._loads, index=self._place.index) for sock in group
            )

    def heed_signals(self) -> None:
        """Drain at SIGTERM, and never cut: service managers signal parent and workers at once, the parent decides."""
        self.loop.add_signal_handler(signal.SIGTERM, self.drain, "SIGTERM")

    def drain_with_siblings(self, reason: str) -> None:
        """Drain as all workers do now, so that newcomers need not be left to any of them."""
        for listener in self.listeners:
            listener.ends_alone = True
        self.drain(reason)

    def say_ready(self) -> None:
        """Tell the parent, which waits for all."""
        self._tell(_news(self))
        self._tell({"news": "ready"})

    def publish_load(self) -> None:
        """Let the siblings know how many connections are left: listeners do it only when somebody comes."""
        if self.state is State.SERVING:
            self._loads.publish(self._place.index, len(self.connections.live))


class _Desk:
    """Answer the parent's questions, do what it says, and report to it."""

    def __init__(self, process: WorkerProcess, channel: Channel) -> None:
        self._process = process
        self._channel = channel
        self._overview = LocalOverview(process)
        self._reported: object = None

    async def attend(self) -> None:
        """Do as the parent says; when the parent is gone, drain: nobody else would ever end this process."""
        while (message := await self._channel.receive()) is not None:
            await self._heed(message)
        self._process.drain("parent gone")

    async def _heed(self, message: Message) -> None:
        match message:
            case {"do": "drain", "reason": str(reason)}:
                self._process.drain_with_siblings(reason)
            case {"do": "cut", "reason": str(reason)}:
                self._process.cut(reason)
            case {"do": "reload"}:
                self._process.reload()
            case {"ask": "report", "number": number}:
                self._report()
                self._channel.send({"answer": number, "result": True})
            case {"ask": "connections", "number": number}:
                self._channel.send({"answer": number, "result": await self._overview.connections()})
            case {"ask": "kill", "number": number, "connection": int(connection)}:
                self._channel.send({"answer": number, "result": await self._overview.kill(connection)})

    async def report_regularly(self) -> None:
        """Report for as long as the process lives, often while there is news and not at all while there is none."""
        while True:
            started = time.perf_counter()
            self.report_news()
            self._process.publish_load()
            await asyncio.sleep(max(_REPORT_EVERY, (time.perf_counter() - started) / _REPORTING_SHARE))

    def report_news(self) -> None:
        """Report, unless there is nothing to report or the parent does not listen."""
        counts = [
            (counters.active, counters.accept_paused, *counters.ends.values())
            for counters in (service.counters for service in self._process.services)
        ]
        if self._channel.congested() or (counts == self._reported and not self._process.connections.live):
            return
        self._reported = counts
        self._report()

    def _report(self) -> None:
        self._channel.send(_news(self._process))


def _news(process: Process) -> Message:
    return {"news": "report", "report": report.report(process), "dials": last_dials(process.services)}


def _in_the_name_of(worker: int) -> Processor:
    """Have lines say which worker they are of, unless a connection's number does, and leave upstreams to the parent."""

    def amend(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        name: str = event["event"]
        if name.startswith("route.upstream_"):
            raise structlog.DropEvent
        return event if name.startswith("connection.") else {**event, "worker": worker}

    return amend


def serve(
    configuration: Configuration, sockets: Sequence[Sequence[socket.socket]], parent: socket.socket, output: Output,
    *, place: Place, loads: Loads, loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> int:  # fmt: skip
    """Serve until the parent says otherwise; return the exit code."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_serve(configuration, sockets, parent, output, place, loads))


async def _serve(
    configuration: Configuration, sockets: Sequence[Sequence[socket.socket]], parent: socket.socket, output: Output,
    place: Place, loads: Loads,
) -> int:  # fmt: skip
    loop = asyncio.get_running_loop()
    # Put into the list that all loggers have, also those that the parent has used.
    structlog.get_config()["processors"].insert(0, _in_the_name_of(place.index))
    channel = Channel(parent)
    process = WorkerProcess(configuration, loop, place, loads, channel.send)
    process.output = output
    output.attach(loop)
    process.take(sockets)
    desk = _Desk(process, channel)
    tasks = [
        loop.create_task(desk.attend(), name="heed the parent"),
        loop.create_task(desk.report_regularly(), name="report"),
    ]
    gc.freeze()
    try:
        code = await process.serve()
    finally:
        process.close()
        desk.report_news()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await channel.close()
        output.attach(None)
    return CANNOT_SERVE if process.failed else code
