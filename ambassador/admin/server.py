"""The admin server, on aiohttp, which is imported only in this room and only when it is used."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from ambassador.admin import answers
from ambassador.admin.access import refusal
from ambassador.admin.clients import Door
from ambassador.admin.history import History
from ambassador.admin.page import Page
from ambassador.admin.processes import Processes
from ambassador.admin.prometheus import CONTENT_TYPE, exposition
from ambassador.errors import described

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from aiohttp.typedefs import Handler

    from ambassador.admin.overview import Overview
    from ambassador.server.report import Report

log = structlog.get_logger()

# An answer that takes longer is not being read; the page and Prometheus gave up long ago.
_ANSWER_SECONDS = 30.0
# What an answer under way is given at the end: an idle process ends well within a second, whoever reads nothing.
_FAREWELL_SECONDS = 0.25
# As many connections are written at a time as take about a millisecond to encode.
_SLICE = 500
_ALL = 1_000_000_000
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "ambassador",
    "X-Content-Type-Options": "nosniff",
}


async def start(overview: Overview, sock: socket.socket, *, token: str | None, limit: int) -> web.AppRunner:
    """Serve the admin pages on a bound socket, until the runner that this returns is cleaned up.

    At most *limit* clients are served at once; *token* is what requests that change something need from elsewhere.
    """
    admin = _Admin(overview, token)
    app = web.Application(middlewares=[admin.guarded])
    app.router.add_get("/", admin.page)
    app.router.add_get("/livez", admin.livez)
    app.router.add_get("/readyz", admin.readyz)
    app.router.add_get("/metrics", admin.metrics)
    app.router.add_get("/status", admin.status)
    app.router.add_get("/connections", admin.connections)
    app.router.add_delete(r"/connections/{number:\d{1,18}}", admin.kill)
    app.router.add_post("/drain", admin.drain)
    app.cleanup_ctx.append(admin.remembering)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_FAREWELL_SECONDS)
    await runner.setup()
    door = Door(runner, sock, limit=limit)
    admin.on_request = door.asked
    await door.start()
    return runner


class _Admin:
    """Answer requests from what the overview tells."""

    def __init__(self, overview: Overview, token: str | None) -> None:
        self._overview = overview
        self._token = token
        self._processes = Processes()
        self._history = History()
        self._page = Page.load()
        self.on_request: Callable[[object], None] = lambda _client: None

    async def remembering(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep the history as long as the application lives."""
        task = asyncio.get_running_loop().create_task(self._history.keep(self._overview), name="admin history")
        yield
        task.cancel()
        await asyncio.wait([task])

    @web.middleware
    async def guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse who may not ask, and answer in bounded time, whatever happens."""
        self.on_request(request.protocol)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self._answer(request, handler)
                # Written here rather than by aiohttp later, which would wait for ever for a client that does not read.
                await response.prepare(request)
                await response.write_eof()
                return response
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = refusal(request.method, _peer(request), request.headers, token=self._token)
        if refused is not None:
            challenge = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            return _text(f"{refused.reason}\n", status=refused.status, headers=challenge)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _text(f"{error.reason}\n", status=error.status, headers=_allow(error))
        except ConnectionError:
            raise  # the client went away
        except Exception as error:
            log.exception("admin.failed", path=request.path, error=described(error))
            return _text("failed\n", status=500)

    async def page(self, _request: web.Request) -> web.Response:
        """Return the page for people."""
        return web.Response(body=self._page.body, headers={**_HEADERS, **self._page.headers})

    async def livez(self, _request: web.Request) -> web.Response:
        """Say that the event loop turns."""
        return _text("live\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Say whether traffic should come here; with `?upstreams` also whether it would get through."""
        reason = self._overview.not_ready()
        if reason is None and "upstreams" in request.query:
            down = _unreachable(await self._overview.report())
            reason = f"upstream down: {', '.join(down)}" if down else None
        return _text(f"not ready: {reason}\n", status=503) if reason else _text("ready\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return the metrics."""
        report, ready = await self._overview.report(), self._overview.not_ready() is None
        body = exposition(report, ready=ready) + self._processes.write()
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": CONTENT_TYPE})

    async def status(self, _request: web.Request) -> web.Response:
        """Return the report, with totals over all routes and the rates of the last minutes."""
        report = await self._overview.report()
        rates = self._history.rates(report)
        answer = answers.status(report, not_ready=self._overview.not_ready(), rates=rates)
        return web.Response(text=json.dumps(answer) + "\n", content_type="application/json", headers=_HEADERS)

    async def connections(self, request: web.Request) -> web.StreamResponse:
        """Return the live connections, oldest first; `?limit=` only so many, `?route=` only those of a route."""
        limit = _limit(request.query.get("limit"))
        route = request.query.get("route")
        found = await self._overview.connections()
        if route is not None:
            found = [entry for entry in found if entry["route"] == route]
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "application/json; charset=utf-8"})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await response.write(f'{{"total": {len(found)}, "connections": ['.encode())
        for start in range(0, min(limit, len(found)), _SLICE):
            entries = json.dumps(found[start : min(start + _SLICE, limit)])[1:-1]
            await response.write((", " if start else "").encode() + entries.encode())
            await asyncio.sleep(0)  # relays have their turn, even when the client's socket takes everything at once
        await response.write(b"]}\n")
        return response

    async def kill(self, request: web.Request) -> web.Response:
        """Reset one connection."""
        number = int(request.match_info["number"])
        found = await self._overview.kill(number)
        if found is False:
            return _text("no such connection\n", status=404)
        failure = {} if found else {"error": "its worker does not answer"}
        log.warning("connection.killed", id=number, by=_peer(request), **failure)
        return _text("reset\n") if found else _text("its worker does not answer\n", status=503)

    async def drain(self, _request: web.Request) -> web.Response:
        """Begin the drain."""
        self._overview.drain()
        return _text("draining\n", status=202)


def _text(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=text, status=status, headers={**_HEADERS, **(headers or {})})


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


def _peer(request: web.Request) -> str:
    peername = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peername[0]) if peername else ""


def _limit(text: str | None) -> int:
    if text is None:
        return _ALL
    if not text.isdecimal() or len(text) > 9:
        raise web.HTTPBadRequest(reason="limit is a number")
    return int(text)


def _unreachable(report: Report) -> list[str]:
    """Name the routes of which no endpoint was reached by its last dial. One never dialled counts as reached."""
    return [
        route["name"] for route in report["routes"] if all(endpoint["up"] is False for endpoint in route["endpoints"])
    ]
