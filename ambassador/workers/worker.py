"""A worker: serves as a process of its own does, on its parent's sockets and at its parent's word."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ambassador import log
from ambassador.admin.overview import LocalOverview
from ambassador.server import report
from ambassador.server.process import LifeEvents, Process, State
from ambassador.server.wiring import Wiring
from ambassador.workers.channel import Channel
from ambassador.workers.sharing import SharingListener
from ambassador.workers.upstreams import last_dials

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

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


_EVENTS = LifeEvents("worker.draining", "worker.cut", "worker.stopped")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a worker stands among its siblings.

    Attributes:
        index: which of them it is; whoever succeeds it has the same.
        workers: how many they are.
        first: what it counts its connections from, so that no number of a predecessor comes again.
    """

    index: int
    workers: int
    first: int


class ParentLink:
    """A worker's end of the channel: do what the parent says, answer what it asks, and report to it.

    Owns the channel; `close` sends what is left to say.
    """

    def __init__(self, process: Process, channel: Channel, loads: Loads, slot: Slot) -> None:
        self._process = process
        self._channel = channel
        self._loads = loads
        self._slot = slot
        self._overview = LocalOverview(process)
        self._reported: object = None

    def ready(self) -> None:
        """Tell the parent, which waits for all."""
        self._report()
        self._channel.send({"news": "ready"})

    async def attend(self) -> None:
        """Do as the parent says; when the parent is gone, drain: nobody else would ever end this process."""
        while (message := await self._channel.receive()) is not None:
            await self._handle(message)
        self._process.drain("parent gone")

    async def _handle(self, message: Message) -> None:
        match message:
            case {"do": "drain", "reason": str(reason)}:
                self._drain_with_siblings(reason)
            case {"do": "cut", "reason": str(reason)}:
                self._process.cut(reason)
            case {"do": "reload"}:
                self._process.reload()
            case {"ask": "report", "number": number}:
                self._report()
                self._channel.send({"answer": number, "result": True})
            case {"ask": "connections", "number": number, "limit": int(limit), "route": str() | None as route}:
                self._channel.send({"answer": number, "result": await self._overview.connections(limit, route)})
            case {"ask": "kill", "number": number, "connection": int(connection)}:  # pragma: no branch - the last kind
                self._channel.send({"answer": number, "result": await self._overview.kill(connection)})

    def _drain_with_siblings(self, reason: str) -> None:
        """Drain as all workers do now, so that newcomers need not be left to any of them."""
        for listener in self._process.routing.listeners():
            listener.ends_alone = True
        self._process.drain(reason)

    async def report_regularly(self) -> None:
        """Report for as long as the process lives, often while there is news and not at all while there is none."""
        while True:
            started = time.perf_counter()
            self.report_news()
            self._publish_load()
            await asyncio.sleep(max(_REPORT_EVERY, (time.perf_counter() - started) / _REPORTING_SHARE))

    def report_news(self) -> None:
        """Report, unless there is nothing to report or the parent does not listen."""
        counts = [
            (counters.active, counters.accept_paused, *counters.ends.values())
            for counters in (route.counters for route in self._process.routing)
        ]
        if self._channel.congested() or (counts == self._reported and not self._process.connections.live):
            return
        self._reported = counts
        self._report()

    async def close(self) -> None:
        """Report for the last time, and close the channel."""
        self.report_news()
        await self._channel.close()

    def _report(self) -> None:
        told = {"report": report.report(self._process), "dials": last_dials(self._process.routing)}
        self._channel.send({"news": "report", **told})

    def _publish_load(self) -> None:
        """Let the siblings know how many connections are left: listeners do it only when somebody comes."""
        if self._process.state is State.SERVING:
            self._loads.publish(self._slot.index, len(self._process.connections.live))


def _in_the_name_of(worker: int) -> Processor:
    """Have lines say which worker they are of, unless a connection's number does, and leave upstreams to the parent."""

    def amend(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        name: str = event["event"]
        if name.startswith("route.upstream_"):
            raise structlog.DropEvent
        return event if name.startswith("connection.") else {**event, "worker": worker}

    return amend


def serve(
    configuration: Configuration, sockets: Mapping[str, Sequence[socket.socket]], parent: socket.socket, output: Output,
    *, slot: Slot, loads: Loads, loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> int:  # fmt: skip
    """Serve until the parent says otherwise; return the exit code."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(_serve(configuration, sockets, parent, output, slot, loads))


async def _serve(
    configuration: Configuration, sockets: Mapping[str, Sequence[socket.socket]], parent: socket.socket, output: Output,
    slot: Slot, loads: Loads,
) -> int:  # fmt: skip
    loop = asyncio.get_running_loop()
    log.prepend(_in_the_name_of(slot.index))
    # A connection's number, modulo the number of workers, says whose it is.
    numbers = itertools.count(slot.first * slot.workers + slot.index, slot.workers)
    cap = functools.partial(loads.caps.of, worker=slot.index)
    wiring = Wiring(configuration, loop, share=slot.workers, next_id=numbers.__next__, cap=cap)
    listener = functools.partial(SharingListener, loads=loads, index=slot.index)
    process = Process(wiring, output, events=_EVENTS, listener=listener)
    output.attach(loop)
    process.take(sockets)
    link = ParentLink(process, Channel(parent), loads, slot)
    # And never cut: service managers signal parent and workers at once, and the parent decides.
    loop.add_signal_handler(signal.SIGTERM, process.drain, "SIGTERM")
    tasks = [
        loop.create_task(link.attend(), name="attend the parent"),
        loop.create_task(link.report_regularly(), name="report"),
    ]
    gc.freeze()
    try:
        code = await process.serve(link.ready)
    finally:
        process.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await link.close()
        output.attach(None)
    return CANNOT_SERVE if process.failed else code
