"""The parent of the workers: binds, forks, hands signals on, and serves nobody but the admin's clients."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
from typing import TYPE_CHECKING

import structlog

from ambassador.errors import described
from ambassador.net.sockets import bind
from ambassador.server.process import State
from ambassador.server.signals import handle_signals
from ambassador.server.wiring import bind_all, claim_files
from ambassador.workers import worker
from ambassador.workers.fork import fork, open_descriptors
from ambassador.workers.overview import PoolOverview
from ambassador.workers.pool import Pool
from ambassador.workers.sharing import Loads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from collections.abc import Set as AbstractSet

    from ambassador.config.configuration import Configuration
    from ambassador.log import Output

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]
    ServeAdmin = Callable[[PoolOverview, socket.socket, int], Coroutine[None, None, None]]

log = structlog.get_logger()

_GRACE = 1.0


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
        for sock in (sock for group in sockets.values() for sock in group):
            stack.enter_context(sock)
        most = configuration.settings.max_connections
        loads = Loads(size, capped=[route.name for route in configuration.routes if most.item(route) is not None])
        keep = open_descriptors()
        admin = configuration.settings.admin
        admin_socket = (
            stack.enter_context(bind(admin, keepalive=0, source="AMBASSADOR_ADMIN")) if admin is not None else None
        )
        # asyncio's own loop: nothing here is hot, and a fork leaves a copy of it in each worker that must stay dead.
        runner = stack.enter_context(asyncio.Runner(loop_factory=asyncio.new_event_loop))
        output.attach(runner.get_loop())
        stack.callback(output.attach, None)
        pool = Pool(configuration, sockets, loads, size, runner.get_loop())
        handle_signals(pool.loop, pool)
        pool.loop.add_signal_handler(signal.SIGCHLD, pool.reap)
        tasks = [] if admin_socket is None else [_admin(pool, admin_socket, output, serve_admin)]
        serve = functools.partial(_serve_worker, pool, output, loop_factory)
        _keep_alive(runner, pool, output, serve, keep)
        runner.run(_end(tasks))
        pool.log_stopped()
        return pool.exit_code


def _keep_alive(
    runner: asyncio.Runner, pool: Pool, output: Output, serve: Callable[[worker.Slot, socket.socket], int],
    keep: AbstractSet[int],
) -> None:  # fmt: skip
    """Fork whoever is due, until the last worker is gone for good.

    The event loop stands still at each fork, so that the child is not started within one of its callbacks.
    """
    gc.freeze()
    gc.enable()  # see `__main__`
    while (slot := runner.run(pool.next_spawn())) is not None:
        if pool.state is State.DRAINING:  # pragma: no cover - a signal has just come in the turn that said who is due
            continue
        try:
            pid, channel = fork(functools.partial(serve, slot), output, keep=keep)
        except OSError as error:
            pool.spawn_failed(slot, error)
        else:
            pool.spawned(slot, pid, channel)


def _serve_worker(
    pool: Pool, output: Output, loop_factory: LoopFactory, slot: worker.Slot, parent: socket.socket
) -> int:
    return worker.serve(
        pool.configuration, pool.sockets, parent, output, slot=slot, loads=pool.loads, loop_factory=loop_factory
    )


def _admin(pool: Pool, sock: socket.socket, output: Output, serve_admin: ServeAdmin) -> asyncio.Task[None]:
    """Serve the admin address once all workers serve; whoever asks before that waits in the accept queue."""
    limit = claim_files(pool.configuration).admin

    async def serve() -> None:
        await pool.ready
        output.flush()  # who waits for these lines should not wait for what the admin server imports, too
        try:
            await serve_admin(PoolOverview(pool), sock, limit)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody could ask for readiness any more
            log.error("admin.failed", path="start", error=described(error))  # noqa: TRY400 - one line
            pool.exit_code = 1
            pool.drain("admin failed")

    return pool.loop.create_task(serve(), name="admin")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)
