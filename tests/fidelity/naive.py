"""Relay as most tutorials for asyncio's streams do: what the oracle must find fault with.

Usage: naive.py LISTEN:UPSTREAM...
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _relay(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    with contextlib.suppress(OSError):
        await asyncio.gather(_pipe(reader, upstream_writer), _pipe(upstream_reader, writer))


async def _serve(routes: list[tuple[int, int]]) -> None:
    servers = [
        await asyncio.start_server(functools.partial(_relay, upstream), "127.0.0.1", listen)
        for listen, upstream in routes
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    pairs = (argument.split(":") for argument in sys.argv[1:])
    asyncio.run(_serve([(int(listen), int(upstream)) for listen, upstream in pairs]))
