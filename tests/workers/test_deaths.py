"""Workers that die or hang: what is served meanwhile, who comes after them, and what is told of them."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.prelude import patch
from tests.support.servers import echo, hold
from tests.workers.conftest import alive, close, say, talk, was_reset

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.workers.conftest import LaunchFleet

# Questions come one after the other, so that a worker is known to hang after five seconds.
ASK_AT_ONCE = patch("ambassador.workers.handle", _ASK_EVERY=0.01)


def test_a_killed_worker_is_replaced_and_the_others_go_on(fleet: LaunchFleet, serve: Serve, loop_name: str) -> None:
    """When a worker is killed its successor serves, the other one's connections live, and what it counted stays."""
    running = fleet(serve(echo).port, loop=loop_name)
    clients = talk(running, 20)
    before = running.metrics()
    victim, survivor = running.pids
    lives = {entry["client"] for entry in running.json("/connections")["connections"] if entry["id"] % 2 == 1}
    assert 0 < len(lives) < 20

    os.kill(victim, signal.SIGKILL)
    (died,) = running.ambassador.wait_for("worker.died")
    running.ambassador.wait_for("worker.started", 3)

    assert (died["pid"], died["signal"]) == (victim, "SIGKILL")
    assert running.pids[0] == survivor
    living = [client for client in clients if "{}:{}".format(*client.getsockname()) in lives]
    for client in set(clients) - set(living):
        was_reset(client)  # or not: that is what the kernel makes of a process that is killed
    for client in living:
        say(client)
    more = talk(running, 20)
    route = f"up:{running.ambassador.port}"
    expected = 5 * (20 + len(lives) + 20)
    eventually(lambda: running.metric("ambassador_bytes_total", route=route, direction="up") == expected)
    assert running.metric("ambassador_connections_active", route=route) == len(lives) + 20
    for key, value in running.metrics().items():
        assert value >= before.get(key, value) or not key[0].endswith(("_total", "_count", "_sum", "_bucket")), key
    close(living + more)
    assert running.ambassador.stop() == 0


def test_clients_that_wait_pass_to_the_successors(fleet: LaunchFleet, serve: Serve) -> None:
    """Clients in the queue of workers that hang and die are served by those that come after them."""
    running = fleet(serve(echo).port)
    for pid in running.pids:
        os.kill(pid, signal.SIGSTOP)
    clients = [running.ambassador.connect() for _ in range(10)]

    for pid in running.pids:
        os.kill(pid, signal.SIGKILL)

    for client in clients:
        say(client)
    close(clients)


def test_numbers_of_connections_never_come_again(fleet: LaunchFleet, serve: Serve) -> None:
    """A successor goes on counting far above its predecessor, so that no two lines of the log have one number."""
    running = fleet(serve(echo).port)
    close(talk(running, 10))
    running.ambassador.closed(10)

    os.kill(running.pids[0], signal.SIGKILL)
    running.ambassador.wait_for("worker.started", 3)
    close(talk(running, 20))

    numbers = [event["id"] for event in running.ambassador.closed(30)]
    assert len(set(numbers)) == len(numbers)


def test_successors_of_the_short_lived_come_ever_later(fleet: LaunchFleet, serve: Serve) -> None:
    """Each early death of a worker doubles the pause before the next birth; its sibling serves in the meantime."""
    running = fleet(serve(echo).port)
    pauses = []
    for count in range(3, 6):
        killed = running.pids[0] if count == 3 else running.pids[-1]
        os.kill(killed, signal.SIGKILL)
        died = time.monotonic()
        close(talk(running, 1))
        running.ambassador.wait_for("worker.started", count)
        pauses.append(time.monotonic() - died)

    # Lower bounds only: the pauses are 0.1, 0.2 and 0.4 seconds, however slow the machine.
    assert [pause >= bound for pause, bound in zip(pauses, (0.1, 0.2, 0.4), strict=True)] == [True] * 3
    assert len({event["pid"] for event in running.ambassador.named("worker.started")}) == 5


def test_workers_that_cannot_serve_end_the_start(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker that fails before it serves says why, and ends the ambassador with exit code 1 instead of a loop."""
    broken = """
from ambassador.server.process import Process
from tests.support.prelude import replace
def fail(self, sockets):
    raise RuntimeError("broken")
replace(Process, "take", fail)
"""
    running = fleet(serve(echo).port, prelude=broken, wait=False)

    assert running.ambassador.exit_code() == 1
    assert "RuntimeError: broken" in {event["error"] for event in running.ambassador.named("worker.failed")}


def test_a_worker_that_hangs_keeps_nobody_waiting(fleet: LaunchFleet, serve: Serve) -> None:
    """While a worker is stopped, the other serves all who come and the admin address answers with its last report."""
    running = fleet(serve(echo).port)
    close(talk(running, 10))
    route = f"up:{running.ambassador.port}"
    eventually(lambda: running.metric("ambassador_connections_total", route=route, end="closed") == 10)
    os.kill(running.pids[0], signal.SIGSTOP)
    try:
        close(talk(running, 10))

        assert running.metric("ambassador_connections_total", route=route, end="closed") == 20
        assert running.ask("/readyz").status == 200
    finally:
        os.kill(running.pids[0], signal.SIGCONT)


def test_a_worker_that_hangs_at_the_drain_is_killed(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker that does not end in its time is killed, and the exit code tells."""
    running = fleet(serve(echo).port, settings={"DRAIN_TIMEOUT": "0"})
    os.kill(running.pids[1], signal.SIGSTOP)

    assert running.ambassador.stop() == 1
    assert [event["signal"] for event in running.ambassador.named("worker.died")] == ["SIGKILL"]


def test_connections_of_a_killed_worker_are_counted_as_failed(fleet: LaunchFleet, serve: Serve) -> None:
    """Whoever was connected through a worker that is killed is in the totals under `failed`, and in its last line."""
    running = fleet(serve(echo).port)
    clients = talk(running, 20)
    lost = running.owners()[0]
    # The parent knows of them by the worker's regular reports, of which this question caused one.
    assert running.route()["active"] == 20

    os.kill(running.pids[0], signal.SIGKILL)

    (died,) = running.ambassador.wait_for("worker.died")
    assert died["connections"] == lost > 0
    route = running.route()
    assert (route["active"], route["ends"]["failed"]) == (20 - lost, lost)
    assert running.ambassador.named("connection.closed") == []
    for client in clients:
        client.close()


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker that answers no question any more is killed and succeeded, without its sibling or the drain."""
    running = fleet(serve(echo).port, prelude=ASK_AT_ONCE)
    victim, sibling = running.pids
    os.kill(victim, signal.SIGSTOP)

    (hangs,) = running.ambassador.wait_for("worker.hangs")
    running.ambassador.wait_for("worker.started", 3)

    assert hangs["pid"] == victim
    assert not alive(victim)
    assert running.pids[0] == sibling
    assert [event["signal"] for event in running.ambassador.named("worker.died")] == ["SIGKILL"]
    close(talk(running, 10))
    assert running.ambassador.stop() == 0


def test_workers_that_do_not_answer_do_not_serve(fleet: LaunchFleet, serve: Serve) -> None:
    """While no worker answers the ambassador is not ready; once they go on it is, and none was killed."""
    running = fleet(serve(echo).port)
    pids = running.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: running.ask("/readyz")[::2] == (503, "not ready: no worker\n"))

    for pid in pids:
        os.kill(pid, signal.SIGCONT)

    eventually(lambda: running.ask("/readyz").status == 200)
    assert running.pids == pids


def test_connections_of_a_dead_worker_are_not_there(fleet: LaunchFleet, serve: Serve) -> None:
    """DELETE of a connection whose worker has died is 404, as of any that is over, before there is a successor."""
    running = fleet(serve(hold).port, prelude=patch("ambassador.workers.pool", _FIRST_PAUSE=60.0, _LONGEST_PAUSE=60.0))
    with running.ambassador.connect():
        eventually(lambda: sum(running.owners()) == 1)
        number = running.json("/connections")["connections"][0]["id"]

        os.kill(running.pids[number % 2], signal.SIGKILL)
        running.ambassador.wait_for("worker.died")

        assert running.ask(f"/connections/{number}", "DELETE").status == 404


def test_a_reset_by_a_worker_that_hangs_is_not_denied(fleet: LaunchFleet, serve: Serve) -> None:
    """DELETE of a connection whose worker does not answer is 503 and logged; the worker resets it once it goes on."""
    running = fleet(serve(hold).port)
    with running.ambassador.connect() as client:
        eventually(lambda: sum(running.owners()) == 1)
        number = running.json("/connections")["connections"][0]["id"]
        victim = running.pids[number % 2]
        os.kill(victim, signal.SIGSTOP)
        try:
            answer = running.ask(f"/connections/{number}", "DELETE")
        finally:
            os.kill(victim, signal.SIGCONT)

        assert answer[::2] == (503, "its worker does not answer\n")
        (told,) = running.ambassador.wait_for("connection.killed")
        assert (told["id"], told["error"]) == (number, "its worker does not answer")
        assert was_reset(client)


def test_a_parent_that_is_scraped_has_no_second_thread(fleet: LaunchFleet, serve: Serve) -> None:
    """However it is asked, the process that forks has one thread (fork(2)): a successor inherits no lock."""
    running = fleet(serve(echo).port)

    for path in ("/metrics", "/status", "/connections", "/"):
        assert running.ask(path).status == 200

    assert len(os.listdir(f"/proc/{running.ambassador.pid}/task")) == 1
