"""`ambassador demo`: a whole link on this machine, with real processes configured by link variables."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

from ambassador.config.links import link_name
from ambassador.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds, for each step: far more than any takes on a slow machine.
_PATIENCE = 15.0
# Enough that both directions run full, and that a lost, repeated or reordered byte would show.
_PAYLOAD_BYTES = 8 * 1024 * 1024


def run() -> int:
    """Show a link at work; return 0 if every byte came back, else 1.

    Raises:
        StartError: the link does not come up, or breaks.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server_port = server.getsockname()[1]
        source_port, target_port = _free_port(), _free_port()
        click.echo(f"server             an echo server listens on 127.0.0.1:{server_port}")
        stack.enter_context(_ambassador("source", source_port, server_port))
        stack.enter_context(_ambassador("target", target_port, source_port))
        return _talk(server, target_port)


def _talk(server: socket.socket, port: int) -> int:
    """Act as server and application: send, end the stream, and read what comes back."""
    payload = os.urandom(_PAYLOAD_BYTES)
    click.echo(f"client             connects to 127.0.0.1:{port}, which is the target ambassador")
    started = time.monotonic()
    try:
        back = asyncio.run(_exchange(server, port, payload))
    except OSError as error:
        raise StartError(f"the link broke: {error}") from error
    seconds = time.monotonic() - started
    same = hashlib.sha256(back).digest() == hashlib.sha256(payload).digest()
    click.echo(f"client             sent {len(payload):,} bytes and ended its stream; {len(back):,} bytes came back")
    if same:
        click.echo(f"every byte came back, in order, through both ambassadors, in {seconds:.2f} s")
        return 0
    click.echo("the bytes that came back differ from those that were sent", err=True)
    return 1


async def _exchange(listener: socket.socket, port: int, payload: bytes) -> bytes:
    """Serve echo on *listener*, and send the payload to it through *port*; return what comes back."""
    server = await asyncio.start_server(_echo, sock=listener.dup())
    async with asyncio.timeout(_PATIENCE), server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            _, back = await asyncio.gather(_send_all(writer, payload), reader.read())
    return back


async def _send_all(writer: asyncio.StreamWriter, payload: bytes) -> None:
    with contextlib.suppress(OSError):  # the receiving side reports it
        writer.write(payload)
        writer.write_eof()
        await writer.drain()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a client its bytes back, until its end of stream."""
    with contextlib.closing(writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def _ambassador(side: str, port: int, upstream_port: int) -> Iterator[None]:
    """Run an ambassador as a process of its own, configured by one link variable, until the block ends."""
    variable, value = f"DEMO_PORT_{port}_TCP", f"tcp://127.0.0.1:{upstream_port}"
    click.echo(f"{side} ambassador  {variable}={value}")
    process = subprocess.Popen(
        [sys.executable, "-m", "ambassador"],
        env={
            **{name: text for name, text in os.environ.items() if not _is_ours(name)},  # noqa: TID251 - handed on
            variable: value,
            "AMBASSADOR_BIND": "127.0.0.1",
            "AMBASSADOR_ADMIN": "off",
            "AMBASSADOR_LOG_LEVEL": "warning",
        },
        # Makes Python fork. posix_spawn(3), its other way, needs clone3, which some seccomp profiles refuse.
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        code = process.wait(_PATIENCE)
        click.echo(f"{side} ambassador  drained, exit code {code}")


def _is_ours(name: str) -> bool:
    """Tell whether a variable is a link or a setting, which would change the demo's ambassadors."""
    return link_name(name) is not None or name.startswith("AMBASSADOR_")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the port is served.

    Raises:
        StartError: the process ended, or did not listen in time.
    """
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise StartError(f"no ambassador listens on port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
