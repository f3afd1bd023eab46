"""The parent of the workers: binds, forks, hands signals on, and serves nobody but the admin's clients."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
from typing import TYPE_CHECKING

import structlog

from ambassador.net.sockets import bind
from ambassador.server.process import State, bind_all, limits_of
from ambassador.workers import worker
from ambassador.workers.fork import fork, open_descriptors
from ambassador.workers.overview import FleetOverview
from ambassador.workers.pool import Fleet
from ambassador.workers.sharing import Loads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from collections.abc import Set as AbstractSet

    from ambassador.config.configuration import Configuration
    from ambassador.log import Output

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]
    ServeAdmin = Callable[[FleetOverview, socket.socket, int], Coroutine[None, None, None]]

log = structlog.get_logger()

_FAREWELL = 1.0


def run(
    configuration: Configuration, output: Output, *, size: int, loop_factory: LoopFactory, serve_admin: ServeAdmin
) -> int:
    """Serve with *size* workers until a signal ends it; return the exit code.

    *loop_factory* makes the workers' event loops; *serve_admin* serves an overview on a socket, which it closes, for so
    many clients at most, until it is cancelled. It must not use threads: this process forks.

    Raises:
        StartError: an address is in use, not ours, or not allowed. Nothing was served.
    """
    sockets = bind_all(configuration)
    with contextlib.ExitStack() as stack:
        for sock in (sock for group in sockets for sock in group):
            stack.enter_context(sock)
        keep = open_descriptors()
        admin = configuration.settings.admin
        admin_socket = (
            stack.enter_context(bind(admin, keepalive=0, source="AMBASSADOR_ADMIN")) if admin is not None else None
        )
        # asyncio's own loop: nothing here is hot, and a fork leaves a copy of it in each worker that must stay dead.
        runner = stack.enter_context(asyncio.Runner(loop_factory=asyncio.new_event_loop))
        output.attach(runner.get_loop())
        stack.callback(output.attach, None)
        loads = Loads(size)
        fleet = Fleet(configuration, sockets, loads, size, runner.get_loop())
        _heed_signals(fleet)
        tasks = [] if admin_socket is None else [_admin(fleet, admin_socket, output, serve_admin)]
        serve = functools.partial(_serve_worker, fleet, output, loop_factory)
        _keep_alive(runner, fleet, output, serve, keep)
        runner.run(_end(tasks))
        fleet.say_stopped()
        return fleet.exit_code


def _keep_alive(
    runner: asyncio.Runner, fleet: Fleet, output: Output, serve: Callable[[worker.Place, socket.socket], int],
    keep: AbstractSet[int],
) -> None:  # fmt: skip
    """Fork whoever is due, until the last worker is gone for good.

    The event loop stands still at each fork, so that the child is not born within one of its callbacks.
    """
    gc.freeze()
    while (place := runner.run(fleet.next_birth())) is not None:
        if fleet.state is State.DRAINING:
            continue
        try:
            pid, channel = fork(functools.partial(serve, place), output, keep=keep)
        except OSError as error:
            fleet.stillborn(place, error)
        else:
            fleet.adopt(place, pid, channel)


def _serve_worker(
    fleet: Fleet, output: Output, loop_factory: LoopFactory, place: worker.Place, parent: socket.socket
) -> int:
    return worker.serve(
        fleet.configuration, fleet.sockets, parent, output, place=place, loads=fleet.loads, loop_factory=loop_factory
    )


def _heed_signals(fleet: Fleet) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        fleet.loop.add_signal_handler(number, fleet.stop, signal.Signals(number).name)
    fleet.loop.add_signal_handler(signal.SIGHUP, fleet.reload)
    fleet.loop.add_signal_handler(signal.SIGCHLD, fleet.reap)


def _admin(fleet: Fleet, sock: socket.socket, output: Output, serve_admin: ServeAdmin) -> asyncio.Task[None]:
    """Serve the admin address once all workers serve; whoever asks before that waits in the accept queue."""
    limit = limits_of(fleet.configuration).admin

    async def serve() -> None:
        await fleet.ready
        output.flush()  # who waits for these lines should not wait for what the admin server imports, too
        try:
            await serve_admin(FleetOverview(fleet), sock, limit)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody could ask for readiness any more
            log.error("admin.failed", path="start", error=f"{type(error).__name__}: {error}")  # noqa: TRY400 - one line
            fleet.exit_code = 1
            fleet.drain("admin failed")

    return fleet.loop.create_task(serve(), name="admin")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_FAREWELL)
