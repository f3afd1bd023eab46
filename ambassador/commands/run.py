"""`ambassador run`: serve in one process or in several workers, and the admin address."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import os
import threading
from typing import TYPE_CHECKING

import structlog

from ambassador import log
from ambassador.admin.overview import LocalOverview
from ambassador.errors import described
from ambassador.net.cgroup import usable_cores
from ambassador.net.sockets import bind
from ambassador.server.hardening import harden
from ambassador.server.process import Process
from ambassador.server.signals import handle_signals
from ambassador.server.wiring import Wiring, bind_all, claim_files

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from ambassador.admin.overview import Overview
    from ambassador.config.configuration import Configuration
    from ambassador.log import Output

_log = structlog.get_logger()
# Seconds for the admin server to close its clients' connections at the end; the relays are over by then.
_ADMIN_GRACE = 1.0


def run(configuration: Configuration) -> int:
    """Serve until a signal ends it; return the exit code.

    Raises:
        StartError: an address is in use, not ours, or not allowed. Nothing was served.
    """
    settings = configuration.settings
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not os.isatty(2))
    output = log.configure(level=settings.log_level, json_lines=as_json)
    workers = settings.workers or usable_cores()
    harden(settings)  # it can read neither its control group any more, nor open standard error
    for warning in (*configuration.warnings, *_limit_warning(configuration)):
        _log.warning("configuration.warning", message=warning)
    if workers > 1:
        from ambassador.workers import supervisor

        serve_admin = functools.partial(_serve_admin, settings.admin_token)
        return supervisor.run(configuration, output, size=workers, loop_factory=loop_factory(), serve_admin=serve_admin)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(configuration, output))


def _limit_warning(configuration: Configuration) -> Iterator[str]:
    """Warn if fewer connections are possible than the setting asks for."""
    asked, possible = configuration.settings.max_connections.default, claim_files(configuration).connections
    if asked is not None and asked > possible:
        yield (
            f"AMBASSADOR_MAX_CONNECTIONS={asked}: the open-files limit allows {possible} per process; raise it with "
            "--ulimit nofile, or lower the setting"
        )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes event loops here: uvloop where the platform has it, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(configuration: Configuration, output: Output) -> int:
    loop = asyncio.get_running_loop()
    process = Process(Wiring(configuration, loop), output)
    output.attach(loop)
    admin: asyncio.Task[None] | None = None
    try:
        process.take(bind_all(configuration))
        if configuration.settings.admin is not None:
            sock = bind(configuration.settings.admin, keepalive=0, source="AMBASSADOR_ADMIN")
            admin = loop.create_task(_load_and_serve_admin(process, sock), name="admin")
        # What was made until now lives as long as the process: the garbage collector need not look at it again.
        gc.freeze()
        gc.enable()  # see `__main__`
        handle_signals(loop, process)
        return await process.serve(process.log_ready)
    finally:
        if admin is not None:
            admin.cancel()
            await asyncio.wait([admin], timeout=_ADMIN_GRACE)
        process.close()
        output.attach(None)


async def _load_and_serve_admin(process: Process, sock: socket.socket) -> None:
    """Serve the admin address of a single process until cancelled. Owns *sock*.

    Whoever asks before it is loaded waits in the accept queue.
    """
    try:
        await _load_admin()
        await _serve_admin(
            process.configuration.settings.admin_token, LocalOverview(process), sock, process.limits.admin
        )
    except Exception as error:  # noqa: BLE001 - whatever it was, nobody could ask for readiness any more
        _log.error("admin.failed", path="start", error=described(error))
        process.exit_code = 1
        process.drain("admin failed")
    finally:
        sock.close()


async def _load_admin() -> None:
    """Import aiohttp, which takes a tenth of a second, in a thread while the routes are served already.

    Where no thread can be had nothing is done here: the import then holds up the event loop. A thread of our own, since
    an executor keeps its thread for good, and wants another to end it. What goes wrong does so again in the importer.
    """
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def load() -> None:
        with contextlib.suppress(Exception):
            importlib.import_module("ambassador.admin.server")
        with contextlib.suppress(RuntimeError):  # the process ended meanwhile
            loop.call_soon_threadsafe(over.set)

    try:
        threading.Thread(target=load, name="load admin").start()
    except RuntimeError:
        return
    await over.wait()


async def _serve_admin(token: str | None, overview: Overview, sock: socket.socket, limit: int) -> None:
    """Serve the admin address until cancelled. Owns *sock*."""
    try:
        from ambassador.admin import server

        runner = await server.start(overview, sock, token=token, limit=limit)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
    finally:
        sock.close()
