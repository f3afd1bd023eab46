"""The admin server, on aiohttp, which is imported only here and only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import socket

    from ambassador.server import Process


async def start(process: Process, sock: socket.socket) -> web.AppRunner:
    """Serve the admin pages on a bound socket, until the runner that this returns is cleaned up."""
    app = web.Application()

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def readyz(_request: web.Request) -> web.Response:
        reason = process.not_ready()
        return web.Response(status=503, text=f"not ready: {reason}\n") if reason else web.Response(text="ready\n")

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner
