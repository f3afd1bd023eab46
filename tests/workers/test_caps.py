"""The most clients of a route in all workers together."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ambassador.workers.caps import Caps
from tests.support.deadline import eventually
from tests.support.servers import echo
from tests.workers.conftest import say

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.workers.conftest import LaunchFleet


def test_processes_never_take_more_than_there_is() -> None:
    """Four processes that take and give as fast as they can have at no time more places than the cap."""
    caps = Caps(["other", "route"], 4)
    pids = []
    for worker in range(4):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        code = 1
        try:
            cap = caps.of("route", 3, worker)
            held = [cap.take() for _ in range(2000)]
            code = 0 if sum(held) <= 3 else 1
        finally:
            os._exit(code)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    assert not caps.of("route", 3, 0).take()
    for worker in range(4):
        caps.forget(worker)
    cap = caps.of("route", 3, 0)
    assert [cap.take() for _ in range(4)] == [True, True, True, False]
    cap.give()
    assert caps.of("route", 3, 1).take()
    assert caps.of("other", 1, 1).take()


def test_the_places_of_a_dead_worker_are_free(fleet: LaunchFleet, serve: Serve) -> None:
    """What the clients of a worker that was killed had of a route's cap, others have."""
    server = serve(echo)
    running = fleet(server.port, settings={"MAX_CONNECTIONS": "up=2"})
    clients = [running.ambassador.connect() for _ in range(2)]
    for client in clients:
        say(client)
    for pid in list(running.pids):
        os.kill(pid, signal.SIGKILL)
    running.ambassador.wait_for("worker.died", 2)
    for client in clients:
        client.close()

    for _ in range(2):
        client = running.ambassador.connect()
        say(client)
        clients.append(client)
    eventually(lambda: len(server.accepted) == 4)
    for client in clients:
        client.close()
