"""How many clients the admin server has at once, and how long each may take.

What may a hostile client make us hold? At most so many connections; on each, a request's head of 8 KiB a line and ten
seconds, then one answer, written as fast as it is read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import socket

# For a request's head, from the connection's start or from the previous answer's end; aiohttp's keep-alive timer
# stands until a whole head is there.
HEAD_SECONDS = 10.0
# What is left of a request after its answer is not read for longer: no request here has a body.
_LINGER_SECONDS = 1.0
# aiohttp's complaints about malformed requests go nowhere: logging would block on standard error (see log.py).
_silent = logging.getLogger("ambassador.admin")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


class Client(web.RequestHandler):
    """One connection to the admin server."""

    __slots__ = ("_door",)

    def __init__(self, door: Door, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEAD_SECONDS,
            lingering_time=_LINGER_SECONDS,
            access_log=_silent,
            logger=_silent,
        )
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in."""
        super().connection_made(transport)
        self._door.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Go."""
        self._door.leave(self)
        super().connection_lost(exc)


class Door(web.BaseSite):
    """Serve a runner's application on a bound socket, to at most *limit* clients at once.

    One more sends away who has asked for nothing for longest: who holds connections open without a use, on purpose or
    not, never keeps a health check out.
    """

    def __init__(self, runner: web.AppRunner, sock: socket.socket, *, limit: int) -> None:
        super().__init__(runner)
        self._sock = sock
        self._limit = limit
        self._clients: dict[Client, None] = {}

    @property
    def name(self) -> str:  # pragma: no cover - a site has to have it, and only web.run_app asks
        """The address, for aiohttp."""
        return str(self._sock.getsockname())

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        server = self._runner.server
        assert server is not None  # noqa: S101 - the runner is set up
        self._server = await asyncio.get_running_loop().create_server(lambda: Client(self, server), sock=self._sock)

    def enter(self, client: Client) -> None:
        """Let a client in, at the end of the line."""
        if len(self._clients) >= self._limit:
            longest = next(iter(self._clients))
            del self._clients[longest]
            if longest.transport is not None:
                longest.transport.abort()
        self._clients[client] = None

    def asked(self, client: object) -> None:
        """Take note that a client asked for something: it goes to the end of the line."""
        if isinstance(client, Client) and client in self._clients:
            del self._clients[client]
            self._clients[client] = None

    def leave(self, client: Client) -> None:
        """Forget a client that is gone."""
        self._clients.pop(client, None)
