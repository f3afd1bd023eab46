"""A worker has nothing of its parent's but what it is meant to have."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ambassador.log import Output
from ambassador.workers.fork import fork, open_descriptors
from tests.support.deadline import eventually
from tests.support.net import connect
from tests.support.servers import echo
from tests.workers.conftest import children, sockets

if TYPE_CHECKING:
    import socket

    from tests.conftest import Serve
    from tests.workers.conftest import LaunchFleet


# The kernel has no room for another process at first: what a container's limit of processes does (fork(2)).
NO_ROOM = """
import errno, os
from tests.support.prelude import replace
failed = []
def fork():
    if not failed:
        failed.append(True)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
    return plain()
plain = replace(os, "fork", fork)
"""


def test_a_worker_that_there_is_no_room_for_comes_later(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker that cannot be started is told, tried again, and then serves as the others do."""
    running = fleet(serve(echo).port, prelude=NO_ROOM)

    (told,) = running.ambassador.named("worker.not_started")
    assert (told["worker"], told["error"]) == (0, "[Errno 11] Resource temporarily unavailable")
    assert [event["worker"] for event in running.ambassador.named("worker.started")] == [1, 0]
    assert running.ambassador.stop() == 0


def test_a_successor_holds_no_socket_of_its_parent(fleet: LaunchFleet, serve: Serve) -> None:
    """A worker born while admin clients are connected shares the listener with its parent, and no other socket."""
    running = fleet(serve(echo).port)
    running.answers()
    admin = [connect(running.port) for _ in range(3)]
    eventually(lambda: running.json("/status")["workers"] == 2)

    os.kill(running.pids[0], signal.SIGKILL)
    running.ambassador.wait_for("worker.started", 3)

    eventually(lambda: running.json("/status")["workers"] == 2)
    assert len(sockets(running.pids[-1]) & sockets(running.ambassador.pid)) == 1
    for client in admin:
        client.close()


def test_generations_of_workers_leave_nothing_behind(fleet: LaunchFleet, serve: Serve) -> None:
    """After several deaths the parent has as many open files as before the first."""
    running = fleet(serve(echo).port, settings={"ADMIN": "off"})
    before = running.ambassador.descriptors()

    for count in range(3, 6):
        os.kill(running.pids[0], signal.SIGKILL)
        running.ambassador.wait_for("worker.started", count)

    eventually(lambda: running.ambassador.descriptors() == before)


def test_a_child_ends_with_the_code_of_what_it_does() -> None:
    """What the child returns is its exit code, it has what it is told to keep, and its channel reaches the parent."""
    read, write = os.pipe()

    def serve(parent: socket.socket) -> int:
        os.write(write, b"kept")
        assert write in open_descriptors()
        parent.send(b"told")
        return 7

    pid, channel = fork(serve, Output(2), keep={0, 1, 2, write})

    with channel:
        assert channel.recv(10) == b"told"
        assert channel.recv(10) == b""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert os.read(read, 10) == b"kept"
    os.close(read)
    os.close(write)


def test_signals_wait_until_the_child_is_its_own() -> None:
    """A signal to the child never runs a handler of the parent; afterwards no signal is blocked in either."""
    seen: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, _frame: seen.append(number))

    def serve(_parent: object) -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        return len(seen) + len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    try:
        pid, channel = fork(serve, Output(2), keep={0, 1, 2})
        channel.close()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert seen == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_no_room_for_a_process_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no room for another process, no descriptor is left and no signal blocked."""

    def no_room() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", no_room)
    output = Output(2)
    before = open_descriptors()

    with pytest.raises(BlockingIOError):
        fork(lambda _parent: 0, output, keep=())

    assert open_descriptors() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


@pytest.mark.parametrize("fault", [RuntimeError("broken"), KeyboardInterrupt(), SystemExit(0)])
def test_a_child_that_fails_ends(fault: BaseException) -> None:
    """Whatever is raised in the child ends it there, with the code that says that it could not serve."""

    def serve(_parent: object) -> int:
        raise fault

    pid, channel = fork(serve, Output(2), keep={0, 1, 2})
    channel.close()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_strangers_are_reaped(fleet: LaunchFleet, serve: Serve) -> None:
    """A dead child that is no worker, as process 1 inherits them, is reaped, and no worker is taken for dead."""
    stranger = "import os\nif os.fork() == 0:\n    os._exit(0)\n"
    running = fleet(serve(echo).port, prelude=stranger)
    pid = running.ambassador.pid

    os.kill(running.pids[0], signal.SIGKILL)
    running.ambassador.wait_for("worker.started", 3)

    eventually(lambda: sorted(children(pid)) == sorted(running.pids))
    assert len(running.ambassador.named("worker.died")) == 1
