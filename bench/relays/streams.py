"""The relay that anybody writes first, on asyncio's streams: `python -m bench.relays.streams LISTEN UPSTREAM`."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from bench.ports import LOOPBACK


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end of the stream, then the end itself."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


async def main(listen: int, upstream: int) -> None:
    """Relay every client of *listen* to *upstream*."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, upstream)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, listen, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
