"""Several workers behave as one ambassador: towards clients, towards signals, and towards whoever asks how it is."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.net import LOCAL, connect, final_error
from tests.support.servers import echo, hold
from tests.workers.conftest import alive, children, close, say, talk, was_reset

if TYPE_CHECKING:
    import socket

    from tests.conftest import Launch, Serve
    from tests.workers.conftest import LaunchFleet

# The second worker does not serve for as long as a file exists.
LATE = """
import os, time
from ambassador.workers import worker
from tests.support.prelude import replace
def wait(*arguments, slot, **options):
    while slot.index == 1 and os.path.exists({held!r}):
        time.sleep(0.01)
    return serve(*arguments, slot=slot, **options)
serve = replace(worker, "serve", wait)
"""


def test_clients_are_shared_out_among_all_workers(fleet: LaunchFleet, serve: Serve, loop_name: str) -> None:
    """Of forty clients each of two workers serves some, and all are seen at the one admin address."""
    running = fleet(serve(echo).port, loop=loop_name)

    clients = talk(running, 40)

    owners = running.owners()
    assert sum(owners) == 40
    assert min(owners) > 0
    assert running.metric("ambassador_connections_active", route=f"up:{running.ambassador.port}") == 40
    assert len(running.pids) == 2
    assert sorted(running.pids) == sorted(children(running.ambassador.pid))
    close(clients)
    assert running.ambassador.stop() == 0


def test_one_worker_is_the_process_itself(ambassador: Launch, serve: Serve) -> None:
    """With one worker, which is the default, there is no second process."""
    running = ambassador(serve(echo).port, settings={"WORKERS": "1"})

    assert children(running.pid) == []
    assert running.named("worker.started") == []


def test_auto_is_one_worker_a_core(fleet: LaunchFleet, serve: Serve) -> None:
    """`auto` starts as many workers as there are cores for this process, and none beside itself on a single one."""
    cores = len(os.sched_getaffinity(0))
    running = fleet(serve(echo).port, settings={"WORKERS": "auto"})

    assert len(children(running.ambassador.pid)) == (cores if cores > 1 else 0)


@pytest.mark.parametrize("where", ["route", "admin"])
def test_a_port_in_use_ends_the_start_before_anybody_is_served(fleet: LaunchFleet, serve: Serve, where: str) -> None:
    """An address in use is exit code 1 with the address in the message, and no worker is ever started."""
    server = serve(echo)
    taken = {"route": {"ROUTES": f"{server.port}=127.0.0.1:9"}, "admin": {"ADMIN": f"{LOCAL}:{server.port}"}}

    running = fleet(server.port, settings=taken[where], wait=False)

    assert running.ambassador.exit_code() == 1
    assert f":{server.port}" in "\n".join(running.ambassador.lines)
    assert running.ambassador.events == []


def test_ready_is_said_once_when_all_serve(fleet: LaunchFleet, serve: Serve) -> None:
    """`ambassador.ready` and each listener are logged once, by the parent, after both workers were started."""
    running = fleet(serve(echo).port)

    names = [event["event"] for event in running.ambassador.events]
    assert names == ["worker.started", "worker.started", "route.listening", "ambassador.ready"]
    assert running.ask("/readyz").status == 200


def test_readiness_waits_for_the_last_worker(fleet: LaunchFleet, serve: Serve) -> None:
    """While one of the first workers has not got to serving, the ambassador is not ready; then it is."""
    held = f"/tmp/ambassador-hold-{os.getpid()}"  # noqa: S108 - only whether it exists matters
    with open(held, "w", encoding="ascii"):
        running = fleet(serve(echo).port, prelude=LATE.format(held=held), wait=False)
    try:
        running.ambassador.wait_for("worker.started", 2)
        with running.ambassador.connect() as client:
            say(client)  # by the one that serves
        assert running.ambassador.named("ambassador.ready") == []
    finally:
        os.unlink(held)

    running.ambassador.ready()
    assert running.ask("/readyz").status == 200


def test_sums_are_exact_while_connections_live(fleet: LaunchFleet, serve: Serve) -> None:
    """What two workers moved, over connections that ended and connections that live, is in the metrics to the byte."""
    running = fleet(serve(echo).port)
    route = f"up:{running.ambassador.port}"

    close(talk(running, 15))
    clients = talk(running, 15)
    for size, client in enumerate(clients):
        say(client, bytes(1000 + size))

    total = 30 * 5 + sum(1000 + size for size in range(15))
    assert running.metric("ambassador_bytes_total", route=route, direction="up") == total
    assert running.metric("ambassador_bytes_total", route=route, direction="down") == total
    status = running.route()
    assert (status["active"], status["ends"]["closed"], status["bytes_up"]) == (15, 15, total)
    assert running.json("/status")["workers"] == 2
    close(clients)


def test_a_connection_of_any_worker_can_be_reset(fleet: LaunchFleet, serve: Serve) -> None:
    """DELETE finds the connection's worker, resets that connection and no other; an unknown number is 404."""
    running = fleet(serve(echo).port)
    clients = {"{}:{}".format(*client.getsockname()): client for client in talk(running, 12)}

    for entry in running.json("/connections")["connections"][::2]:
        assert running.ask(f"/connections/{entry['id']}", "DELETE").status in {200, 204}
        assert was_reset(clients.pop(entry["client"]))

    for client in clients.values():
        say(client)
    assert running.ask("/connections/999999999", "DELETE").status == 404
    assert len(running.ambassador.closed(6)) == 6
    close(list(clients.values()))


def test_sigterm_drains_under_load_and_is_well(fleet: LaunchFleet, serve: Serve, loop_name: str) -> None:
    """At SIGTERM every exchange under way is finished, whoever comes later is refused, and the exit code is 0."""
    running = fleet(serve(echo).port, settings={"DRAIN_TIMEOUT": "25s"}, loop=loop_name)
    clients = talk(running, 30)
    finished = []

    def exchange(client: socket.socket) -> None:
        for _ in range(20):
            say(client, os.urandom(20_000))
        close([client])
        finished.append(client)

    threads = [threading.Thread(target=exchange, args=(client,)) for client in clients]
    for thread in threads[:15]:
        thread.start()
    running.ambassador.signal(signal.SIGTERM)
    running.ambassador.wait_for("worker.draining", 2)
    for thread in threads[15:]:
        thread.start()
    eventually(lambda: refused(running.ambassador.port), "a listener that is closed")
    for thread in threads:
        thread.join()

    assert running.ambassador.exit_code() == 0
    assert len(finished) == 30
    assert {event["end"] for event in running.ambassador.named("connection.closed")} == {"closed"}
    (draining,) = running.ambassador.named("ambassador.draining")
    assert 15 <= draining["live"] <= 30
    assert [event["exit_code"] for event in running.ambassador.named("ambassador.stopped")] == [0]
    assert running.ambassador.named("worker.died") == []


def refused(port: int) -> bool:
    """Tell whether nobody listens on *port*."""
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_signal_cuts_all_workers(fleet: LaunchFleet, serve: Serve) -> None:
    """The second signal resets what is left in every worker, and the exit code says so."""
    running = fleet(serve(hold).port, settings={"DRAIN_TIMEOUT": "25s"})
    clients = [running.ambassador.connect() for _ in range(10)]
    eventually(lambda: sum(running.owners()) == 10)

    running.ambassador.signal(signal.SIGTERM)
    running.ambassador.wait_for("worker.draining", 2)
    running.ambassador.signal(signal.SIGTERM)

    assert running.ambassador.exit_code() == 1
    assert [was_reset(client) for client in clients] == [True] * 10
    assert [event["end"] for event in running.ambassador.named("connection.closed")] == ["drained"] * 10


def test_an_expired_drain_cuts_and_says_so(fleet: LaunchFleet, serve: Serve) -> None:
    """Connections that outlive the drain's time are reset, and the exit code is 1."""
    running = fleet(serve(hold).port, settings={"DRAIN_TIMEOUT": "100ms"})
    with running.ambassador.connect() as client:
        eventually(lambda: sum(running.owners()) == 1)

        assert running.ambassador.stop() == 1
        assert final_error(client) is ConnectionResetError


def test_a_signal_to_the_whole_group_drains_once(fleet: LaunchFleet, serve: Serve) -> None:
    """A signal that the workers get as well, from a terminal or a service manager, is one signal: nobody is cut."""
    running = fleet(serve(echo).port, settings={"DRAIN_TIMEOUT": "25s"})
    clients = talk(running, 6)

    for number in (signal.SIGINT, signal.SIGTERM):
        for pid in running.pids:
            os.kill(pid, number)
    running.ambassador.signal(signal.SIGTERM)
    running.ambassador.wait_for("worker.draining", 2)
    for client in clients:
        say(client)
    close(clients)

    assert running.ambassador.exit_code() == 0


def test_a_worker_told_to_end_drains_and_is_replaced(fleet: LaunchFleet, serve: Serve) -> None:
    """SIGTERM to one worker lets its connections end, while its successor and its sibling serve those who come."""
    running = fleet(serve(echo).port, settings={"DRAIN_TIMEOUT": "25s"})
    clients = talk(running, 10)

    os.kill(running.pids[0], signal.SIGTERM)
    running.ambassador.wait_for("worker.draining")
    for client in [*clients, *talk(running, 4)]:
        say(client)
        close([client])

    running.ambassador.wait_for("worker.died", exit_code=0)
    running.ambassador.wait_for("worker.started", 3)
    assert running.ambassador.stop() == 0


def test_readiness_goes_first_at_the_drain(fleet: LaunchFleet, serve: Serve) -> None:
    """During DRAIN_DELAY `/readyz` is 503 while both workers still accept; a request to drain is as good as SIGTERM."""
    running = fleet(serve(echo).port, settings={"DRAIN_DELAY": "500ms"})

    assert running.ask("/drain", "POST").status < 300
    answer = running.ask("/readyz")
    clients = talk(running, 4)

    assert (answer.status, "draining" in answer.body) == (503, True)
    close(clients)
    assert running.ambassador.exit_code() == 0


def test_sighup_ends_nobody(fleet: LaunchFleet, serve: Serve) -> None:
    """SIGHUP, to the parent or to all, leaves every process and connection as they are."""
    running = fleet(serve(echo).port)
    (client,) = talk(running, 1)

    for pid in (running.ambassador.pid, *running.pids):
        os.kill(pid, signal.SIGHUP)

    say(client)
    close([client])
    assert running.ambassador.stop() == 0
    assert running.ambassador.named("worker.died") == []


def test_workers_end_when_their_parent_is_killed(fleet: LaunchFleet, serve: Serve) -> None:
    """Workers whose parent is gone let their connections end, accept nobody, and end themselves."""
    running = fleet(serve(echo).port, settings={"DRAIN_TIMEOUT": "25s"})
    pids = running.pids
    clients = talk(running, 4)

    running.ambassador.signal(signal.SIGKILL)
    running.ambassador.wait_for("worker.draining", 2, reason="parent gone")
    for client in clients:
        say(client)
    eventually(lambda: refused(running.ambassador.port), "a listener that is closed")
    close(clients)

    eventually(lambda: not any(alive(pid) for pid in pids), "both workers ended")


def test_lines_of_several_processes_stay_whole(fleet: LaunchFleet, serve: Serve) -> None:
    """However many lines two workers write at once, each arrives as one event."""
    running = fleet(serve(echo).port)

    def many() -> None:
        for _ in range(100):
            close(talk(running, 1))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(running.ambassador.closed(400)) == 400
    assert running.ambassador.stop() == 0
    assert running.ambassador.lines == []
