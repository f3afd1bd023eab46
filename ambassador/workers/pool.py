"""The workers as their parent knows them: who lives, who is to be born, what they counted, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from typing import TYPE_CHECKING, cast

import structlog

from ambassador.server.process import State, log_ready
from ambassador.workers.handle import Member
from ambassador.workers.merge import merge, retired
from ambassador.workers.upstreams import Upstreams
from ambassador.workers.worker import CANNOT_SERVE, Place

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from ambassador.config.configuration import Configuration
    from ambassador.server.report import Report
    from ambassador.workers.channel import Message
    from ambassador.workers.sharing import Loads
    from ambassador.workers.upstreams import Dials

log = structlog.get_logger()

# Who dies again and again is succeeded ever more slowly; who has lived for a while has earned a quick successor.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_LONG_LIFE = 10.0
# A worker that should have ended by itself gets this long before it is killed.
_GRACE = 2.0
# More connections than a worker can accept between its last report and its death.
_UNREPORTED = 100_000


class Fleet:
    """Keep *size* workers alive until told to stop. Owns the channels to them and the listening sockets.

    It does not fork: that is done where no event loop runs, by whoever calls `next_birth` and `adopt`.

    Attributes:
        members: the workers that live, by their index.
        exit_code: of the whole ambassador.
        ready: done when all workers serve for the first time.
    """

    def __init__(
        self,
        configuration: Configuration,
        sockets: Sequence[Sequence[socket.socket]],
        loads: Loads,
        size: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.configuration = configuration
        self.sockets = sockets
        self.loads = loads
        self.size = size
        self.loop = loop
        self.state = State.STARTING
        self.started = loop.time()
        self.members: dict[int, Member] = {}
        self.exit_code = 0
        self.ready: asyncio.Future[None] = loop.create_future()
        self._signalled = False
        self._due = deque(range(size))
        self._changed = asyncio.Event()
        self._deaths = [0] * size
        self._firsts = [1] * size
        self._past: Report | None = None
        self._upstreams = Upstreams(configuration.routes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def next_birth(self) -> Place | None:
        """Return who is to be forked next, as soon as that is so; None when the last worker is gone for good."""
        while True:
            if self.state is State.DRAINING:
                if not self.members:
                    return None
            elif self._due:
                index = self._due.popleft()
                return Place(index, self.size, self._firsts[index])
            self._changed.clear()
            await self._changed.wait()

    def adopt(self, place: Place, pid: int, channel: socket.socket) -> None:
        """Take charge of a worker that was forked."""
        member = self.members[place.index] = Member(place, pid, channel, self.loop)
        log.info("worker.started", worker=place.index, pid=pid)
        self._hold(self._attend(member), f"worker {place.index} {pid}")
        self._hold(self._watch(member), f"watch {place.index} {pid}")
        if self.state is State.DRAINING:
            member.channel.send({"do": "drain", "reason": "late"})

    def stillborn(self, place: Place, error: OSError) -> None:
        """Take note that there was no room for another process."""
        log.error("worker.not_started", worker=place.index, error=str(error))
        self._succeed(place.index, lived=0.0)

    def reap(self) -> None:
        """Take the exit codes of all processes that have ended: as process 1 also those of strangers (wait(2))."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for member in self.members.values():
                if member.pid == pid and not member.status.done():
                    member.status.set_result(status)

    def stop(self, reason: str) -> None:
        """Drain at the first signal, whatever began a drain before it; at the second, cut what is left."""
        if self._signalled:
            self._tell({"do": "cut", "reason": "second signal"})
            self.loop.call_later(_GRACE, self._kill_rest)
        else:
            self._signalled = True
            self.drain(reason)

    def drain(self, reason: str) -> None:
        """Have every worker drain; whoever has not ended long after its time is killed."""
        if self.state is State.DRAINING:
            return
        self.state = State.DRAINING
        log.info("ambassador.draining", reason=reason, live=self.loads.total())
        self._tell({"do": "drain", "reason": reason})
        self.close()
        settings = self.configuration.settings
        self.loop.call_later(settings.drain_delay + settings.drain_timeout + _GRACE, self._kill_rest)
        self._changed.set()

    def reload(self) -> None:
        """Have every worker read keys and certificates again."""
        self._tell({"do": "reload"})

    def close(self) -> None:
        """Close the parent's copies of the listening sockets: the last worker that closes its own ends a listener."""
        for sock in (sock for group in self.sockets for sock in group):
            sock.close()

    def not_ready(self) -> str | None:
        """Say why the ambassador should not be sent traffic; None when it should."""
        if self.state is not State.SERVING:
            return self.state.value
        serving = any(member.ready and not member.unanswered for member in self.members.values())
        return None if serving else "no worker"

    def report(self) -> Report:
        """Add up what the workers, the dead included, have reported."""
        reports = [member.report for member in self.members.values() if member.report is not None]
        merged = merge([*reports, self._past] if self._past is not None else reports)
        uptime = round(self.loop.time() - self.started, 3)
        return {**self._upstreams.complete(merged), "state": str(self.state), "uptime": uptime}

    def say_stopped(self) -> None:
        """Log that the last worker is gone."""
        seconds = round(self.loop.time() - self.started, 3)
        log.info("ambassador.stopped", exit_code=self.exit_code, seconds=seconds)

    async def _attend(self, member: Member) -> None:
        """Listen to a worker until it has died, then bury it."""
        while (message := await member.channel.receive()) is not None:
            self._heed(member, message)
        status = await member.status
        member.end()
        await member.channel.close()
        self._bury(member, os.waitstatus_to_exitcode(status))

    async def _watch(self, member: Member) -> None:
        """Kill a worker that hangs; it is succeeded like any that dies."""
        await member.watch()
        if not member.gone:
            _kill(member)

    def _heed(self, member: Member, message: Message) -> None:
        member.unanswered = 0
        match message:
            case {"answer": int(number), "result": result}:
                member.answered(number, result)
            case {"news": "report", "report": told, "dials": dials}:
                counted = cast("Report", told)
                self._upstreams.heed(member.report, counted, cast("Dials", dials))
                member.report = counted
            case {"news": "ready"}:
                member.ready = True
                self._serve_when_ready()

    def _serve_when_ready(self) -> None:
        """Say that the ambassador is ready when the last of its first workers is."""
        if self.state is State.STARTING and sum(member.ready for member in self.members.values()) == self.size:
            self.state = State.SERVING
            log_ready(self.configuration, max_connections=sum(member.limit for member in self.members.values()))
            self.ready.set_result(None)

    def _bury(self, member: Member, code: int) -> None:
        """Keep what a dead worker counted, and see to its successor."""
        index, lived, lost = member.place.index, self.loop.time() - member.born, 0
        del self.members[index]
        self.loads.leave(index)
        if member.report is not None:
            counted = retired(member.report)
            self._past = merge([counted, self._past]) if self._past is not None else counted
            lost = sum(route["active"] for route in member.report["routes"])
            self._firsts[index] += sum(sum(route["ends"].values()) for route in counted["routes"]) + _UNREPORTED
        draining = self.state is State.DRAINING
        if code < 0 or not draining:
            ended = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
            log.error("worker.died", worker=index, pid=member.pid, seconds=round(lived, 3), connections=lost, **ended)
        if draining:
            self.exit_code = self.exit_code if code == 0 else 1
        elif code == CANNOT_SERVE:
            self.exit_code = 1
            self.drain("a worker cannot serve")
        else:
            self._succeed(index, lived=lived)
        self._changed.set()

    def _succeed(self, index: int, *, lived: float) -> None:
        """Have a worker's successor born: at once after a long life, else after a pause that doubles each time."""
        deaths = self._deaths[index] = 0 if lived >= _LONG_LIFE else self._deaths[index] + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (deaths - 1)) if deaths else 0.0
        self.loop.call_later(pause, self._order, index)

    def _hold(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run a task that is this fleet's."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _order(self, index: int) -> None:
        self._due.append(index)
        self._changed.set()

    def _tell(self, message: Message) -> None:
        for member in self.members.values():
            member.channel.send(message)

    def _kill_rest(self) -> None:
        """End those that have not ended in their time."""
        for member in self.members.values():
            _kill(member)


def _kill(member: Member) -> None:
    if not member.status.done():
        log.error("worker.hangs", worker=member.place.index, pid=member.pid)
        os.kill(member.pid, signal.SIGKILL)
