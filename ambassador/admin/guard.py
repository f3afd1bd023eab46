"""What every request passes before anything looks at it: who may ask, how soon, and how long an answer may take.

aiohttp's middlewares would come too late. Before them it answers an `Expect` by itself, to anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

import structlog
from aiohttp import web

from ambassador.admin import plain
from ambassador.admin.access import Refusal, refusal
from ambassador.admin.refusals import path_of
from ambassador.errors import described

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ambassador.admin.clients import Client
    from ambassador.admin.refusals import Refusals
    from ambassador.admin.turns import Turns

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = structlog.get_logger()

# An answer that takes longer is not being read; the page and Prometheus gave up long ago.
_ANSWER_SECONDS = 30.0
# What is left of a refused request is read for a moment, or the answer would be lost to the reset by which a socket is
# closed that has not been read empty (RFC 9112, section 9.6).
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 64 * 1024


class Guard:
    """Stand before *answer*, which is aiohttp's whole application."""

    def __init__(self, answer: Answer, *, token: str | None, turns: Turns, refusals: Refusals) -> None:
        self._answer = answer
        self._token = token
        self._turns = turns
        self._refusals = refusals

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Refuse who may not ask, and answer in bounded time, whatever happens."""
        client = cast("Client", request.protocol)
        client.asked()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._turns.mine()
                response = await self._respond(request, client)
                # Written here rather than by aiohttp later, which would wait for ever for a client that does not read.
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self._refuse(request, client, f"the answer was not read within {_ANSWER_SECONDS:g} s")
            client.abort()
            raise
        if request.body_exists:
            await _linger(request)
        client.answered()
        return response

    async def _respond(self, request: web.BaseRequest, client: Client) -> web.StreamResponse:
        refused = refusal(request.method, client.by, request.headers, token=self._token) or _unwanted(request)
        if refused is not None:
            self._refuse(request, client, refused.reason, status=refused.status)
            challenge = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            response = plain.text(refused.reason, status=refused.status, headers=challenge)
            if request.body_exists:
                response.force_close()
            return response
        try:
            return await self._answer(request)
        except web.HTTPException as error:
            return plain.text(error.reason, status=error.status, headers=_allow(error))
        except ConnectionError:
            raise  # the client went away
        except Exception as error:
            log.exception("admin.failed", path=path_of(request.raw_path), error=described(error))
            return plain.text("failed", status=500)

    def _refuse(self, request: web.BaseRequest, client: Client, reason: str, **fields: int) -> None:
        self._refusals.say(client.by, reason, method=request.method, path=path_of(request.raw_path), **fields)


def _unwanted(request: web.BaseRequest) -> Refusal | None:
    """Refuse what would cost something and is of no use here, before any of it is read."""
    # In HTTP/1.0 it means nothing (RFC 9110, section 10.1.1).
    if "Expect" in request.headers and request.version >= (1, 1):
        return Refusal(417, "nothing can be expected here")
    if request.body_exists:
        return Refusal(413, "no request here has a body")
    return None


async def _linger(request: web.BaseRequest) -> None:
    left = _LINGER_BYTES
    # A body that is malformed or breaks off is over as well.
    with contextlib.suppress(web.RequestPayloadError, OSError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (data := await request.content.readany()):
                left -= len(data)


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
