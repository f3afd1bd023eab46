"""Routes that come, are replaced and go, while connections live on."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from ambassador.config.configuration import read
from ambassador.config.routes import Endpoint, Route
from ambassador.metrics import End
from ambassador.net.address import Address
from ambassador.net.sockets import bind
from ambassador.server.process import Process
from ambassador.server.wiring import Wiring, bind_all
from tests.support.deadline import PATIENCE, soon
from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from ambassador.log import Output
    from tests.conftest import Serve
    from tests.support.servers import Behaviour

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def greet(word: bytes) -> Behaviour:
    """Return an upstream's behaviour: greet by *word*, then echo."""

    def behave(client: socket.socket) -> None:
        client.sendall(word)
        while data := client.recv(1 << 16):
            client.sendall(data)

    return behave


@contextlib.asynccontextmanager
async def serving(port: int, upstream: int) -> AsyncIterator[Process]:
    """Serve one route on the running loop."""
    environ = {f"A_PORT_{port}_TCP": f"tcp://{LOCAL}:{upstream}", "AMBASSADOR_BIND": LOCAL, "AMBASSADOR_ADMIN": "off"}
    configuration = read(environ)
    output = cast("Output", SimpleNamespace(dropped=0))
    process = Process(Wiring(configuration, asyncio.get_running_loop()), output)
    process.take(bind_all(configuration))
    task = asyncio.ensure_future(process.serve(lambda: None))
    await soon(lambda: process.state == "serving")
    try:
        yield process
    finally:
        process.cut("test")
        assert await task in {0, 1}
        process.close()


async def greeted(port: int) -> tuple[bytes, Streams]:
    """Connect; return the three bytes that the upstream says first, and the streams."""
    reader, writer = await asyncio.open_connection(LOCAL, port)
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(3), (reader, writer)


async def lives(streams: Streams) -> bool:
    """Tell whether an echo comes back."""
    reader, writer = streams
    writer.write(b"hello")
    async with asyncio.timeout(PATIENCE):
        return await reader.readexactly(5) == b"hello"


def route(name: str, port: int, upstream: int) -> Route:
    """Write a route of one endpoint."""
    return Route(name, None, (Address(LOCAL, port),), (Endpoint(Address(LOCAL, upstream)),), "test")


async def test_a_route_that_is_added_is_served_beside_the_others(serve: Serve) -> None:
    """Clients of the new port reach the new upstream, and the old route goes on."""
    old, new = serve(greet(b"old")), serve(greet(b"new"))
    port, another = free_port(), free_port()
    async with serving(port, old.port) as process:
        _, before = await greeted(port)
        added = process.routing.add(route("b:1", another, new.port), [bind(Address(LOCAL, another), keepalive=0)])
        for listener in added.listeners:
            listener.start()
        (first, _one), (second, _other) = await greeted(another), await greeted(port)
        assert (first, second) == (b"new", b"old")
        assert await lives(before)
        assert [served.name for served in process.routing] == [f"a:{port}", "b:1"]


async def test_a_route_that_is_replaced_keeps_its_listener_its_counters_and_its_connections(serve: Serve) -> None:
    """New clients reach the new upstream by the same listening socket; those that are here talk on with the old."""
    old, new = serve(greet(b"old")), serve(greet(b"new"))
    port = free_port()
    async with serving(port, old.port) as process:
        name = f"a:{port}"
        word, before = await greeted(port)
        (listener,) = process.routing[name].listeners
        replaced = process.routing.replace(route(name, port, new.port))
        other, after = await greeted(port)
        assert (word, other) == (b"old", b"new")
        assert await lives(before)
        assert await lives(after)
        assert replaced.listeners == [listener]
        assert replaced.counters.active == 2


async def test_the_endpoint_of_an_upstream_that_was_replaced_is_given_back(serve: Serve) -> None:
    """An endpoint counts its connections until each has ended, also when its route no longer has it."""
    old, new = serve(greet(b"old")), serve(greet(b"new"))
    port = free_port()
    async with serving(port, old.port) as process:
        name = f"a:{port}"
        (endpoint,) = process.routing[name].upstream.endpoints
        _, (_, writer) = await greeted(port)
        assert endpoint.live == 1
        process.routing.replace(route(name, port, new.port))
        writer.close()
        await soon(lambda: endpoint.live == 0)


async def test_a_route_that_is_removed_refuses_clients_and_keeps_connections(serve: Serve) -> None:
    """Its port refuses, its connections live on, and their end is still counted."""
    server = serve(greet(b"old"))
    port = free_port()
    async with serving(port, server.port) as process:
        name = f"a:{port}"
        _, streams = await greeted(port)
        removed = process.routing[name]
        process.routing.remove(name)
        with pytest.raises(ConnectionRefusedError):
            await greeted(port)
        assert await lives(streams)
        assert len(process.routing) == 0
        streams[1].close()
        await soon(lambda: removed.counters.ends[End.CLOSED] == 1)
