"""No threads to be had: a seccomp profile refuses them, or a cgroup counts them."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.commands.healthcheck import ask
from tests.support.cases import quick
from tests.support.confine import own_names, pids_limit, refused_threads
from tests.support.deadline import PATIENCE, eventually
from tests.support.names import name_server
from tests.support.net import LOCAL, final_error, free_port, read_to_end
from tests.support.prelude import guarded
from tests.support.process import ENTER, ROOT, environment
from tests.support.servers import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador

KINDS = ["clone3 EPERM", "clone3 EAGAIN", "clone EPERM"]


def is_served(running: Ambassador, route: int) -> bool:
    """Tell whether a client of the route gets its bytes back."""
    with running.connect(route) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client) == b"hello"


def ends_as_logged(running: Ambassador, code: int) -> None:
    """Make sure that a drain ends with this exit code, logs the same, and writes nothing but its log."""
    assert running.stop() == code
    assert [line["exit_code"] for line in running.named("ambassador.stopped")] == [code]
    assert running.lines == []


def members(leader: int) -> int:
    """Count the members of a process group, zombies included."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found += int(path.read_text().rpartition(")")[2].split()[2]) == leader
    return found


def asks(helper: int) -> bool:
    """Tell whether a helper has a child that looks a name up."""
    return members(helper) > 1


def is_gone(helper: int) -> bool:
    """Tell whether nothing is left of a helper and its children."""
    return not members(helper)


@contextlib.contextmanager
def confined(how: str) -> Iterator[str]:
    """Give a prelude: `pids N` for a cgroup of so many, anything else for refused threads."""
    if how.startswith("pids "):
        with pids_limit(int(how.split()[1])) as prelude:
            yield prelude
    else:
        yield refused_threads(how)


@pytest.mark.parametrize("workers", quick(1, ["1", "2"]))
@pytest.mark.parametrize("kind", quick(1, [*KINDS, "clone3 ENOSYS"]))
def test_without_threads_addresses_names_and_admin_are_served(
    ambassador: Launch, serve: Serve, kind: str, workers: str
) -> None:
    """Where the kernel refuses every thread, an address and a name are reached, admin answers, and a drain is clean."""
    port, admin = serve(echo).port, f"{LOCAL}:{free_port()}"
    settings = {"ADMIN": admin, "WORKERS": workers}
    running = ambassador(port, f"tcp://localhost:{port}", settings=settings, prelude=refused_threads(kind))
    assert is_served(running, 0)
    assert is_served(running, 1)
    assert ask(admin, "/readyz", timeout=PATIENCE) == (200, "ready")
    assert bool(running.named("resolver.helper_started")) == (kind != "clone3 ENOSYS")
    ends_as_logged(running, 0)


@pytest.mark.parametrize(("most", "workers"), quick(1, [(2, "1"), (3, "1"), (4, "1"), (9, "1"), (4, "2"), (5, "2")]))
def test_a_name_needs_room_for_one_process_or_thread(
    ambassador: Launch, serve: Serve, loop_name: str, most: int, workers: str
) -> None:
    """With room for a single process or thread beside those that serve, names are reached time and again."""
    port, admin = serve(echo).port, f"{LOCAL}:{free_port()}"
    settings = {"ADMIN": admin, "WORKERS": workers, "CONNECT_TIMEOUT": "1m"}
    with pids_limit(most) as prelude:
        running = ambassador(port, f"tcp://localhost:{port}", settings=settings, prelude=prelude, loop=loop_name)
        assert all(is_served(running, route) for route in (0, 1) * 10)
        assert ask(admin, "/readyz", timeout=PATIENCE) == (200, "ready")
        ends_as_logged(running, 0)


def test_with_no_room_at_all_only_names_are_out_of_reach(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """With pids.max=1 addresses and admin are served, a name's client is reset for a reason that names the limit."""
    port, admin = serve(echo).port, f"{LOCAL}:{free_port()}"
    settings = {"ADMIN": admin, "CONNECT_TIMEOUT": "1s"}
    with pids_limit(1) as prelude:
        running = ambassador(port, f"tcp://localhost:{port}", settings=settings, prelude=prelude, loop=loop_name)
        assert is_served(running, 0)
        with running.connect(1) as client:
            assert final_error(client) is ConnectionResetError
        (line,) = [line for line in running.closed(2) if line["end"] != "closed"]
        assert line["end"] == "connect_unresolved"
        assert "pids limit" in line["error"]
        assert ask(admin, "/readyz", timeout=PATIENCE) == (200, "ready")
        ends_as_logged(running, 0)


@pytest.mark.parametrize("how", quick(1, [*KINDS, "pids 2", "pids 3", "pids 4"]))
def test_a_silent_name_holds_up_no_other(ambassador: Launch, serve: Serve, tmp_path: Path, how: str) -> None:
    """While clients of a name wait for a silent name server, those of another name are served, and the end is quick."""
    port = serve(echo).port
    upstreams = ("tcp://silent.test:80", f"tcp://quick.test:{port}")
    settings = {"CONNECT_TIMEOUT": "1h", "DRAIN_TIMEOUT": "100ms"}
    with name_server() as names, confined(how) as confinement, contextlib.ExitStack() as clients:
        prelude = own_names(tmp_path, names.address) + confinement
        running = ambassador(*upstreams, settings=settings, prelude=prelude)
        waiting = [clients.enter_context(running.connect(0)) for _ in range(5)]
        eventually(lambda: "silent.test" in names.asked, "a question")
        assert all(is_served(running, 1) for _ in range(3))
        running.signal(signal.SIGTERM)
        assert {final_error(client) for client in waiting} == {ConnectionResetError}
        assert running.exit_code() == 1
        assert running.lines == []


def test_a_helper_that_dies_is_succeeded(ambassador: Launch, serve: Serve, tmp_path: Path) -> None:
    """Of a helper that is killed while it waits for a name nothing is left, and the next names are looked up anew."""
    port = serve(echo).port
    with name_server() as names:
        prelude = own_names(tmp_path, names.address) + refused_threads("clone3 EPERM")
        upstreams = ("tcp://silent.test:80", f"tcp://quick.test:{port}")
        running = ambassador(*upstreams, prelude=prelude, settings={"DRAIN_TIMEOUT": "0"})
        for _ in range(2):
            (helper,) = children(running.pid)
            with running.connect(0):
                eventually(functools.partial(asks, helper), "a child that asks")
                os.kill(helper, signal.SIGKILL)
                assert is_served(running, 1)
                eventually(functools.partial(is_gone, helper), "the end of both")
        running.stop()
        assert running.lines == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_helper_ends_with_the_ambassador(ambassador: Launch, tmp_path: Path, number: signal.Signals) -> None:
    """However the ambassador ends, nothing is left of its helper and of the children that wait for a silent name."""
    settings = {"DRAIN_TIMEOUT": "0"}
    with name_server() as names:
        prelude = own_names(tmp_path, names.address) + refused_threads("clone3 EPERM")
        running = ambassador("tcp://silent.test:80", settings=settings, prelude=prelude)
        with running.connect():
            eventually(lambda: names.asked, "a question")
            (helper,) = children(running.pid)
            eventually(functools.partial(asks, helper), "a child that asks")
            running.signal(number)
            running.exit_code()
            eventually(functools.partial(is_gone, helper), "the end of both")


def test_a_drain_still_looks_names_up(ambassador: Launch, serve: Serve) -> None:
    """A signal to all processes of a terminal or a service leaves the helper at work for the dials of the drain."""
    port = serve(echo).port
    running = ambassador(
        f"tcp://localhost:{port}",
        prelude=refused_threads("clone3 EPERM"),
        settings={"DRAIN_DELAY": "1h", "DRAIN_TIMEOUT": "1h"},
    )
    assert is_served(running, 0)
    (helper,) = children(running.pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(helper, number)
    running.signal(signal.SIGTERM)
    running.wait_for("ambassador.draining")
    assert is_served(running, 0)
    assert children(running.pid) == [helper]


def command(*arguments: str, prelude: str, admin: str = "off") -> tuple[int, str, str]:
    """Run a command that is confined by *prelude*; return its exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", guarded(prelude) + ENTER, *arguments],
        check=False,
        env=environment({"AMBASSADOR_ADMIN": admin}),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("how", quick(1, [*KINDS, "pids 1", "pids 2"]))
def test_commands_need_no_threads(ambassador: Launch, serve: Serve, how: str) -> None:
    """`check --dial` and `wait` find what is there and name what is not, with no thread to be had."""
    live, admin, dead = serve(echo).port, f"{LOCAL}:{free_port()}", free_port()
    ambassador(live, settings={"ADMIN": admin})
    with confined(how) as prelude:
        code, out, err = command("check", "--dial", f"1=localhost:{live}", f"2={LOCAL}:{dead}", prelude=prelude)
        assert (code, err) == (1, "")
        assert f"{LOCAL}:{live} connected in" in out
        assert f"{LOCAL}:{dead} FAILED: Connection refused" in out
        code, _, err = command("wait", f"1=localhost:{live}", f"2={LOCAL}:{live}", prelude=prelude, admin=admin)
        assert (code, err) == (0, "")
        code, _, err = command("wait", "--timeout", "1s", f"1={LOCAL}:{dead}", f"2=localhost:{live}", prelude=prelude)
        assert code == 1
        assert f"{LOCAL}:{dead}" in err
        assert str(live) not in err


def test_wait_keeps_its_time_without_threads(serve: Serve, tmp_path: Path) -> None:
    """A silent name server holds `wait` up no longer than its timeout, and hides nothing that is there."""
    live = serve(echo).port
    with name_server() as names:
        prelude = own_names(tmp_path, names.address) + refused_threads("clone3 EPERM")
        code, _, err = command("wait", "--timeout", "2s", "silent.test:80", f"quick.test:{live}", prelude=prelude)
    assert code == 1
    assert "silent.test:80" in err
    assert "quick.test" not in err


@pytest.mark.parametrize("kind", ["clone3 EPERM", "clone EPERM"])
def test_the_demo_needs_no_threads(kind: str) -> None:
    """The demonstration runs with no thread to be had, its ambassadors included."""
    code, out, err = command("demo", prelude=refused_threads(kind))
    assert (code, err) == (0, "")
    assert out.count("exit code 0") == 2


def children(pid: int) -> list[int]:
    """Return the child processes of a process that has no threads."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
