"""The workers as their parent knows them: who lives, who is to be started, what they counted, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from typing import TYPE_CHECKING, cast

import structlog

from ambassador.server.process import State, log_ready
from ambassador.workers.handle import WorkerHandle
from ambassador.workers.tally import Tally
from ambassador.workers.worker import CANNOT_SERVE, Slot

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Mapping, Sequence

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


class Pool:
    """Keep *size* workers alive until told to stop. Owns the channels to them and the listening sockets.

    It does not fork: that is done where no event loop runs, by whoever calls `next_spawn` and `spawned`.

    Attributes:
        handles: the workers that live, by their index.
        exit_code: of the whole ambassador.
        ready: done when all workers serve for the first time.
    """

    def __init__(
        self,
        configuration: Configuration,
        sockets: Mapping[str, Sequence[socket.socket]],
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
        self.handles: dict[int, WorkerHandle] = {}
        self.exit_code = 0
        self.ready: asyncio.Future[None] = loop.create_future()
        self._due = deque(range(size))
        self._changed = asyncio.Event()
        self._deaths = [0] * size
        self._next_numbers = [1] * size
        self._tally = Tally(configuration.routes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def next_spawn(self) -> Slot | None:
        """Return who is to be forked next, as soon as that is so; None when the last worker is gone for good."""
        while True:
            if self.state is State.DRAINING:
                if not self.handles:
                    return None
            elif self._due:
                index = self._due.popleft()
                return Slot(index, self.size, self._next_numbers[index])
            self._changed.clear()
            await self._changed.wait()

    def spawned(self, slot: Slot, pid: int, channel: socket.socket) -> None:
        """Take charge of a worker that was forked."""
        handle = self.handles[slot.index] = WorkerHandle(slot, pid, channel, self.loop)
        log.info("worker.started", worker=slot.index, pid=pid)
        self._hold(self._attend(handle), f"worker {slot.index} {pid}")
        self._hold(self._watch(handle), f"watch {slot.index} {pid}")
        if self.state is State.DRAINING:
            handle.channel.send({"do": "drain", "reason": "late"})

    def spawn_failed(self, slot: Slot, error: OSError) -> None:
        """Take note that there was no room for another process."""
        log.error("worker.not_started", worker=slot.index, error=str(error))
        self._respawn(slot.index, lived=0.0)

    def reap(self) -> None:
        """Take the exit codes of all processes that have ended: as process 1 also those of strangers (wait(2))."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for handle in self.handles.values():
                if handle.pid == pid and not handle.status.done():
                    handle.status.set_result(status)

    def drain(self, reason: str, *, by: str | None = None) -> None:
        """Have every worker drain; whoever has not ended long after its time is killed. *by* is as for a process."""
        if self.state is State.DRAINING:
            return
        self.state = State.DRAINING
        asked = {} if by is None else {"by": by}
        log.info("ambassador.draining", reason=reason, live=self.loads.total(), **asked)
        self._tell({"do": "drain", "reason": reason})
        self.close()
        settings = self.configuration.settings
        self.loop.call_later(settings.drain_delay + settings.drain_timeout + _GRACE, self._kill_rest)
        self._changed.set()

    def cut(self, reason: str) -> None:
        """Have every worker reset whoever is left, and kill those that do not end then."""
        self._tell({"do": "cut", "reason": reason})
        self.loop.call_later(_GRACE, self._kill_rest)

    def reload(self) -> None:
        """Have every worker read keys and certificates again."""
        self._tell({"do": "reload"})

    def close(self) -> None:
        """Close the parent's copies of the listening sockets: the last worker that closes its own ends a listener."""
        for sock in (sock for group in self.sockets.values() for sock in group):
            sock.close()

    def not_ready(self) -> str | None:
        """Say why the ambassador should not be sent traffic; None when it should."""
        if self.state is not State.SERVING:
            return self.state.value
        serving = any(handle.ready and not handle.unanswered for handle in self.handles.values())
        return None if serving else "no worker"

    def report(self) -> Report:
        """Add up what the workers, the dead included, have reported."""
        uptime = round(self.loop.time() - self.started, 3)
        return {**self._tally.total(), "state": str(self.state), "uptime": uptime}

    def log_stopped(self) -> None:
        """Log that the last worker is gone."""
        seconds = round(self.loop.time() - self.started, 3)
        log.info("ambassador.stopped", exit_code=self.exit_code, seconds=seconds)

    async def _attend(self, handle: WorkerHandle) -> None:
        """Listen to a worker until it has died, then see to what it leaves."""
        while (message := await handle.channel.receive()) is not None:
            self._handle(handle, message)
        status = await handle.status
        handle.end()
        await handle.channel.close()
        self._reap(handle, os.waitstatus_to_exitcode(status))

    async def _watch(self, handle: WorkerHandle) -> None:
        """Kill a worker that hangs; it is succeeded like any that dies."""
        await handle.watch()
        if not handle.gone:
            _kill(handle)

    def _handle(self, handle: WorkerHandle, message: Message) -> None:
        handle.unanswered = 0
        match message:
            case {"answer": int(number), "result": result}:
                handle.answered(number, result)
            case {"news": "report", "report": told, "dials": dials}:
                report = cast("Report", told)
                handle.limit = report["limit"] or 0
                self._tally.learn(handle.slot.index, report, cast("Dials", dials))
            case {"news": "ready"}:  # pragma: no branch - the last kind
                handle.ready = True
                self._serve_when_ready()

    def _serve_when_ready(self) -> None:
        """Say that the ambassador is ready when the last of its first workers is."""
        if self.state is State.STARTING and sum(handle.ready for handle in self.handles.values()) == self.size:
            self.state = State.SERVING
            log_ready(self.configuration, max_connections=sum(handle.limit for handle in self.handles.values()))
            self.ready.set_result(None)

    def _reap(self, handle: WorkerHandle, code: int) -> None:
        """Keep what a dead worker counted, and see to its successor."""
        index, lived = handle.slot.index, self.loop.time() - handle.started
        del self.handles[index]
        self.loads.leave(index)
        self.loads.caps.forget(index)
        lost, counted = self._tally.bury(index)
        self._next_numbers[index] += counted + _UNREPORTED
        draining = self.state is State.DRAINING
        if code < 0 or not draining:
            ended = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
            log.error("worker.died", worker=index, pid=handle.pid, seconds=round(lived, 3), connections=lost, **ended)
        if draining:
            self.exit_code = self.exit_code if code == 0 else 1
        elif code == CANNOT_SERVE:
            self.exit_code = 1
            self.drain("a worker cannot serve")
        else:
            self._respawn(index, lived=lived)
        self._changed.set()

    def _respawn(self, index: int, *, lived: float) -> None:
        """Have a worker's successor started: at once after a long life, else after a pause that doubles each time."""
        deaths = self._deaths[index] = 0 if lived >= _LONG_LIFE else self._deaths[index] + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (deaths - 1)) if deaths else 0.0
        self.loop.call_later(pause, self._due_now, index)

    def _hold(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run a task that is this pool's."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _due_now(self, index: int) -> None:
        self._due.append(index)
        self._changed.set()

    def _tell(self, message: Message) -> None:
        for handle in self.handles.values():
            handle.channel.send(message)

    def _kill_rest(self) -> None:
        """End those that have not ended in their time."""
        for handle in self.handles.values():
            _kill(handle)


def _kill(handle: WorkerHandle) -> None:
    if not handle.status.done():
        log.error("worker.hangs", worker=handle.slot.index, pid=handle.pid)
        os.kill(handle.pid, signal.SIGKILL)
