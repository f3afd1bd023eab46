"""Answers in plain words, and what the head of every answer says to a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nothing is kept, taken for another type, framed, embedded, or run; and nobody is told which software this is
# (RFC 9110, section 10.2.4).
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "ambassador",
    "X-Content-Type-Options": "nosniff",
}


def text(words: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with one line."""
    return web.Response(text=f"{words}\n", status=status, headers={**HEADERS, **(headers or {})})
