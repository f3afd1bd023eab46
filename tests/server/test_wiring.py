"""What is wired together from a configuration, in the test's own process."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.config.configuration import read
from ambassador.metrics import End
from ambassador.server.connection import Connection, Phase
from ambassador.server.wiring import Wiring
from tests.support.deadline import soon
from tests.support.net import LOCAL, pair, reset
from tests.support.servers import hold

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ambassador.relay.pipes import Pipe
    from tests.conftest import Serve

    How = Callable[[Connection, socket.socket], object]


@pytest.mark.parametrize(
    "end",
    [lambda _, client: client.close(), lambda _, client: reset(client), lambda ours, _: ours.cut(End.DRAINED)],
    ids=["closed", "reset", "cut"],
)
async def test_an_endpoint_counts_a_connection_until_it_ends(serve: Serve, end: How) -> None:
    """However a connection ends, its endpoint counts it up to then, and no longer."""
    server = serve(hold)
    wiring = Wiring(read({"AMBASSADOR_ROUTES": f"1=127.0.0.1:{server.port}"}), asyncio.get_running_loop())
    route = wiring.served(wiring.configuration.routes[0])
    (endpoint,) = route.upstream.endpoints
    ours, client = pair()
    with client:
        ours.setblocking(False)  # noqa: FBT003 - the name of it
        connection = Connection(route, ours, (LOCAL, 1), 1)
        wiring.connections.add(connection)
        connection.start()
        assert endpoint.live == 1
        await soon(lambda: connection.phase is Phase.RELAYING)
        assert endpoint.live == 1
        end(connection, client)
        await soon(lambda: connection.phase is Phase.OVER)
        assert endpoint.live == 0
    wiring.close()


USER_PAGES = int(Path("/proc/sys/fs/pipe-user-pages-soft").read_text(encoding="ascii"))


class Nobody:
    """Borrows a pipe, and needs it."""

    blocked = False
    moved = 0

    def hold_what_is_in(self, pipe: Pipe) -> None:
        """Is not asked."""
        raise AssertionError(pipe)


@pytest.mark.parametrize("workers", [1, 3])
async def test_pipes_of_all_workers_stay_within_half_of_what_their_user_may_have(workers: int) -> None:
    """As many bulk streams as there may be leave half of the pages of pipes to others of the same user."""
    configuration = read({"AMBASSADOR_ROUTES": "1=127.0.0.1:2"})
    wirings = [Wiring(configuration, asyncio.get_running_loop(), share=workers) for _ in range(workers)]
    pipes = []
    for wiring in wirings:
        while (pipe := wiring.pipes.take(Nobody())) is not None:
            pipes.append((wiring.pipes, pipe))
    assert pipes
    assert sum(pipe.size for _, pipe in pipes) <= USER_PAGES // 2 * mmap.PAGESIZE
    for pool, pipe in pipes:
        pool.give_back(pipe)
    for wiring in wirings:
        wiring.close()
