"""How many clients the admin server has at once, and how long each may take.

What may a hostile client make us hold? At most so many connections; on each, a request's head of 8 KiB a line and ten
seconds, then one answer, written as fast as it is read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from ambassador.admin import plain

if TYPE_CHECKING:
    import socket

    from ambassador.admin.refusals import Refusals

# For a request's head, from the connection's start or from the previous answer's end.
HEAD_SECONDS = 10.0
# aiohttp's complaints about malformed requests go nowhere: logging would block on standard error (see log.py).
_silent = logging.getLogger("ambassador.admin")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
_silent.setLevel(logging.CRITICAL + 1)


class Client(web.RequestHandler):
    """One connection to the admin server.

    Attributes:
        by: the client's address; empty if it had gone before it was known.
    """

    __slots__ = ("_door", "_heard", "_timer", "by")

    def __init__(self, door: Door, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # `_late` comes before this, and tells why.
            keepalive_timeout=2 * HEAD_SECONDS,
            lingering_time=0,  # see `Guard`
            access_log=_silent,
            logger=_silent,
            # What is compressed would be decompressed as it comes, though nobody reads it.
            auto_decompress=False,
        )
        self._door = door
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None
        self.by = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in."""
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        self.by = str(peername[0]) if peername else ""
        self._door.enter(self)
        self.answered()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Go."""
        self._set_timer(None)
        self._door.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._heard = True
        super().data_received(data)

    def asked(self) -> None:
        """Take note that a request's head is there: it may take its time now, and goes to the end of the line."""
        self._heard = False
        self._set_timer(None)
        self._door.asked(self)

    def answered(self) -> None:
        """Wait for the next request, not for long."""
        if self.transport is not None:
            self._set_timer(asyncio.get_running_loop().call_later(HEAD_SECONDS, self._late))

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what aiohttp cannot read, in our words instead of its own; the connection ends with that."""
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer was sent already")
        if status == 400:
            self._door.refusals.say(self.by, "not HTTP as it should be", status=status)
        response = plain.text("bad request" if status == 400 else "failed", status=status)
        response.force_close()
        return response

    def _late(self) -> None:
        """Go for want of a request, which is worth telling if there was a part of one."""
        self._timer = None
        if self._heard:
            self._door.refusals.say(self.by, f"no whole head within {HEAD_SECONDS:g} s")
        self.abort()

    def abort(self) -> None:
        """Go at once, whatever waits to be written."""
        if self.transport is not None:
            self.transport.abort()

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer


class Door(web.BaseSite):
    """Serve a runner's application on a bound socket, to at most *limit* clients at once.

    One more sends away who has asked for nothing for longest: who holds connections open without a use, on purpose or
    not, never keeps a health check out.
    """

    def __init__(self, runner: web.AppRunner, sock: socket.socket, *, limit: int, refusals: Refusals) -> None:
        super().__init__(runner)
        self._sock = sock
        self._limit = limit
        self._clients: dict[Client, None] = {}
        self.refusals = refusals

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
            self.refusals.say(longest.by, f"more than {self._limit} connections, and it had asked for nothing longest")
            longest.abort()
        self._clients[client] = None

    def asked(self, client: Client) -> None:
        """Take note that a client asked for something: it goes to the end of the line."""
        if client in self._clients:
            del self._clients[client]
            self._clients[client] = None

    def leave(self, client: Client) -> None:
        """Forget a client that is gone."""
        self._clients.pop(client, None)
