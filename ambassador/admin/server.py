"""The admin server, on aiohttp, which is imported only in this room and only when it is used."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, cast

import structlog
from aiohttp import web

from ambassador.admin import answers, plain
from ambassador.admin.clients import Door
from ambassador.admin.guard import Guard
from ambassador.admin.history import History
from ambassador.admin.page import Page
from ambassador.admin.processes import Processes
from ambassador.admin.prometheus import CONTENT_TYPE, exposition
from ambassador.admin.refusals import Refusals
from ambassador.admin.turns import Shared, Turns
from ambassador.server.hardening import landlock

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from ambassador.admin.clients import Client
    from ambassador.admin.overview import Overview

log = structlog.get_logger()

# What an answer under way is given at the end: an idle process ends well within a second, whoever reads nothing.
_FAREWELL_SECONDS = 0.25
# As many connections are encoded at a time as take about a millisecond to encode.
_SLICE = 500
# More than a machine has ports.
_ALL = 1_000_000_000


async def start(overview: Overview, sock: socket.socket, *, token: str | None, limit: int) -> web.AppRunner:
    """Serve the admin pages on a bound socket, until the runner that this returns is cleaned up.

    At most *limit* clients are served at once; *token* is what requests that change something need from elsewhere.
    """
    turns, refusals = Turns(), Refusals()
    admin = _Admin(overview, turns)
    app = web.Application()
    app.router.add_get("/", admin.page)
    app.router.add_get("/livez", admin.livez)
    app.router.add_get("/readyz", admin.readyz)
    app.router.add_get("/metrics", admin.metrics)
    app.router.add_get("/status", admin.status)
    app.router.add_get("/connections", admin.connections)
    app.router.add_delete(r"/connections/{number:\d{1,18}}", admin.kill)
    app.router.add_post("/drain", admin.drain)
    app.cleanup_ctx.append(admin.remembering)

    async def last_refusals(_app: web.Application) -> None:
        refusals.close()

    app.on_cleanup.append(last_refusals)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_FAREWELL_SECONDS)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - it is set up
    guard = Guard(runner.server.request_handler, token=token, turns=turns, refusals=refusals)
    runner.server.request_handler = guard.answer  # before the connections are made, which keep it
    await Door(runner, sock, limit=limit, refusals=refusals).start()
    return runner


class _Admin:
    """Answer requests from what the overview tells."""

    def __init__(self, overview: Overview, turns: Turns) -> None:
        self._overview = overview
        self._turns = turns
        self._processes = Processes()
        self._history = History()
        self._page = Page.load()
        one = asyncio.Lock()
        # Not in one line with what is heavy: a probe does not wait for long.
        self._upstreams = Shared[list[str]](asyncio.Lock())
        self._metrics = Shared[bytes](one)
        self._statuses = Shared[str](one)
        self._listings = Shared[list[bytes]](one)

    async def remembering(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep the history as long as the application lives."""
        task = asyncio.get_running_loop().create_task(self._history.keep(self._overview), name="admin history")
        yield
        task.cancel()
        await asyncio.wait([task])

    async def page(self, _request: web.Request) -> web.Response:
        """Return the page for people."""
        return web.Response(body=self._page.body, headers={**plain.HEADERS, **self._page.headers})

    async def livez(self, _request: web.Request) -> web.Response:
        """Say that the event loop turns."""
        return plain.text("live")

    async def readyz(self, request: web.Request) -> web.Response:
        """Say whether traffic should come here; with `?upstreams` also whether it would get through."""
        reason = self._overview.not_ready()
        if reason is None and "upstreams" in request.query:
            down = await self._upstreams.get(self._unreachable)
            reason = f"upstream down: {', '.join(down)}" if down else None
        return plain.text(f"not ready: {reason}", status=503) if reason else plain.text("ready")

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return the metrics."""
        body = await self._metrics.get(self._exposition)
        await self._turns.mine()
        return web.Response(body=body, headers={**plain.HEADERS, "Content-Type": CONTENT_TYPE})

    async def status(self, _request: web.Request) -> web.Response:
        """Return the report, with totals over all routes and the rates of the last minutes."""
        body = await self._statuses.get(self._status)
        await self._turns.mine()
        return web.Response(text=body, content_type="application/json", headers=plain.HEADERS)

    async def connections(self, request: web.Request) -> web.StreamResponse:
        """Return the live connections, oldest first; `?limit=` only so many, `?route=` only those of a route."""
        limit, route = _limit(request.query.get("limit")), request.query.get("route")
        parts = await self._listings.get(functools.partial(self._listing, limit, route), (limit, route))
        response = web.StreamResponse(headers={**plain.HEADERS, "Content-Type": "application/json; charset=utf-8"})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        for part in parts:
            await self._turns.mine()
            await response.write(part)
        return response

    async def kill(self, request: web.Request) -> web.Response:
        """Reset one connection."""
        number = int(request.match_info["number"])
        found = await self._overview.kill(number)
        if found is False:
            return plain.text("no such connection", status=404)
        failure = {} if found else {"error": "its worker does not answer"}
        log.warning("connection.killed", id=number, by=_by(request), **failure)
        return plain.text("reset") if found else plain.text("its worker does not answer", status=503)

    async def drain(self, request: web.Request) -> web.Response:
        """Begin the drain."""
        self._overview.drain(by=_by(request))
        return plain.text("draining", status=202)

    async def _unreachable(self) -> list[str]:
        """Name the routes of which no endpoint was reached by its last dial. One never dialled counts as reached."""
        report = await self._overview.report()
        return [
            route["name"]
            for route in report["routes"]
            if all(endpoint["up"] is False for endpoint in route["endpoints"])
        ]

    async def _exposition(self) -> bytes:
        report, ready = await self._overview.report(), self._overview.not_ready() is None
        body = exposition(report, ready=ready)
        await asyncio.sleep(0)
        return body + self._processes.write()

    async def _status(self) -> str:
        report = await self._overview.report()
        rates = self._history.rates(report)
        not_ready = self._overview.not_ready()
        return json.dumps(answers.status(report, not_ready=not_ready, landlock=landlock(), rates=rates)) + "\n"

    async def _listing(self, limit: int, route: str | None) -> list[bytes]:
        """Return the answer in parts, each of which is written at a time."""
        found = await self._overview.connections(limit, route)
        parts = [f'{{"total": {found["total"]}, "connections": [']
        for start in range(0, len(found["connections"]), _SLICE):
            entries = json.dumps(found["connections"][start : start + _SLICE])[1:-1]
            parts.append((", " if start else "") + entries)
            await asyncio.sleep(0)  # relays have their turn
        return [part.encode() for part in (*parts, "]}\n")]


def _by(request: web.Request) -> str:
    return cast("Client", request.protocol).by


def _limit(text: str | None) -> int:
    if text is None:
        return _ALL
    if not text.isdecimal() or len(text) > 9:
        raise web.HTTPBadRequest(reason="limit is a number")
    return int(text)
