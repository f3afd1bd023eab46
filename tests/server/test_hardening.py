"""What a serving ambassador cannot do any more, and what it still can."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.net.privileges import landlock_abi
from ambassador.server.hardening import places
from tests.support.confine import own_names, refused_landlock
from tests.support.net import exactly
from tests.support.prelude import guarded
from tests.support.process import ROOT, command, environment
from tests.support.proofs import KeyFile, key_client, needs_keys
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador, Event
    from tests.support.watch import Watch

needs_landlock = pytest.mark.skipif(landlock_abi() is None, reason="there is no Landlock here")
# A prelude: at SIGUSR1 each process tries what whoever has taken it over would, and tells what came of it.
INTRUDER = """
import ctypes, errno, json, os, signal, subprocess, sys
def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def opened(path, flags):
    return outcome(lambda: os.close(os.open(path, flags)))
def intrude(*_):
    told = {{name: opened(path, flags) for name, path, flags in {paths!r}}}
    told |= {{name: outcome(lambda: subprocess.run(argv, check=True)) for name, argv in {programs!r}}}
    event = {{"event": "tried", "pid": os.getpid(), "dumpable": ctypes.CDLL(None).prctl(3), **told}}
    os.write(2, (json.dumps(event) + "\\n").encode())
signal.signal(signal.SIGUSR1, intrude)
"""


def intruder(paths: list[tuple[str, str, int]], programs: list[tuple[str, list[str]]]) -> str:
    """Return the prelude that tries to open *paths* and to run *programs*, each with a name for its outcome."""
    return INTRUDER.format(paths=paths, programs=programs)


def children(pid: int) -> list[int]:
    """Return the child processes of a process without threads."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tried(running: Ambassador, pid: int) -> Event:
    """Have a process try what the prelude has it try; return what came of it."""
    os.kill(pid, signal.SIGUSR1)
    return running.wait_for("tried", pid=pid)[0]


def state(pid: int, name: str) -> str:
    """Return what the kernel says of a process: a field of its status, or a line of its limits."""
    lines = [line for file in ("status", "limits") for line in Path(f"/proc/{pid}/{file}").read_text().splitlines()]
    return next(" ".join(line.removeprefix(name).split()) for line in lines if line.startswith(name))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_process_gains_privileges(ambassador: Launch, workers: str) -> None:
    """The ambassador and its workers have no_new_privs, and without a tunnel keep the limit of core files."""
    running = ambassador(9, settings={"WORKERS": workers})
    for pid in (running.pid, *children(running.pid)):
        assert state(pid, "NoNewPrivs:") == "1"
        assert state(pid, "Max core file size") == state(os.getpid(), "Max core file size")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_whoever_holds_a_key_is_not_dumped(ambassador: Launch, key_file: KeyFile, workers: str) -> None:
    """With a tunnel no process leaves a core file, nor lets its user look into its memory; without one it does."""
    prelude = intruder([], [])
    source = ambassador(9, settings={**key_file.settings("source"), "WORKERS": workers}, prelude=prelude)
    for pid in (source.pid, *children(source.pid)):
        assert state(pid, "Max core file size") == "0 0 bytes"
        assert tried(source, pid)["dumpable"] == 0
    plain = ambassador(9, settings={"WORKERS": workers}, prelude=prelude)
    assert tried(plain, plain.pid)["dumpable"] == 1


@needs_landlock
@pytest.mark.parametrize("workers", ["1", "2"])
def test_files_outside_are_closed(ambassador: Launch, key_file: KeyFile, tmp_path: Path, workers: str) -> None:
    """Nothing is read but what is named and what is needed, nothing is changed, and no program runs but this Python."""
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.write_text("a secret of others")
    beside = tmp_path / "beside"
    beside.touch()
    prelude = intruder(
        [
            ("read outside", str(outside), os.O_RDONLY),
            ("list root", "/", os.O_RDONLY | os.O_DIRECTORY),
            ("change key", str(key_file.path), os.O_WRONLY),
            ("make file", str(tmp_path / "made"), os.O_WRONLY | os.O_CREAT),
            ("change memory", "/proc/self/mem", os.O_RDWR),
            ("read key", str(key_file.path), os.O_RDONLY),
            ("read beside", str(beside), os.O_RDONLY),
            ("read hosts", "/etc/hosts", os.O_RDONLY),
            ("read proc", "/proc/self/stat", os.O_RDONLY),
            ("write null", os.devnull, os.O_RDWR | os.O_TRUNC),
        ],
        [("run cat", ["/bin/cat", os.devnull]), ("run python", [sys.executable, "-I", "-S", "-c", "import json"])],
    )
    running = ambassador(9, settings={**key_file.settings("source"), "WORKERS": workers}, prelude=prelude)
    for pid in (running.pid, *children(running.pid)):
        outcomes = tried(running, pid)
        shut = ("read outside", "list root", "change key", "make file", "change memory", "run cat")
        assert {name: outcomes[name] for name in shut} == dict.fromkeys(shut, "EACCES")
        still = ("read key", "read beside", "read hosts", "read proc", "write null", "run python")
        assert {name: outcomes[name] for name in still} == dict.fromkeys(still, "done")


@needs_keys
def test_links_that_are_replaced_lead_to_new_keys(ambassador: Launch, serve: Serve, tmp_path: Path) -> None:
    """A key behind Kubernetes' `..data`, and one behind a link to another folder, are read anew when a link changes."""
    store, mount = tmp_path / "store", tmp_path / "mount"
    mount.mkdir()
    keys = []
    for number in (1, 2):
        folder = store / f"..{number}"
        folder.mkdir(parents=True)
        file = KeyFile(folder)
        file.path.rename(folder / "tunnel.key")
        keys.append(file.keys[0])
    point(store / "..data", store / "..1")
    (mount / "tunnel.key").symlink_to(Path("..") / "store" / "..data" / "tunnel.key")
    settings = {"TUNNEL": "source", "TUNNEL_KEY_FILE": str(mount / "tunnel.key")}
    running = ambassador(serve(echo).port, settings=settings)
    point(store / "..data", store / "..2")
    running.signal(signal.SIGHUP)
    running.wait_for("tunnel.reloaded")
    with running.connect() as raw, key_client(keys[1]).wrap_socket(raw) as client:
        client.sendall(b"new")
        assert exactly(client, 3) == b"new"


def point(link: Path, target: Path) -> None:
    """Make a link, in the place of another where there is one, as the kubelet does it."""
    fresh = link.with_name(f"{link.name}_tmp")
    fresh.symlink_to(target)
    fresh.replace(link)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_it_serves_without_landlock(watch: Watch, serve: Serve, number: int) -> None:
    """Where there is no Landlock it serves as ever, and says in the log nothing, in `/status` null."""
    running = watch(serve(echo).port, prelude=refused_landlock(number))
    assert running.json("/status")["landlock"] is None
    with running.ambassador.connect() as client:
        client.sendall(b"x")
        assert exactly(client, 1) == b"x"
    names = {event["event"] for event in running.ambassador.events}
    assert names <= {"route.listening", "ambassador.ready", "connection.closed"}


def test_status_tells_which_landlock(watch: Watch, workers: dict[str, str]) -> None:
    """`/status` has the ABI that this kernel offers, and `check` says the same."""
    assert watch(9, settings=workers).json("/status")["landlock"] == landlock_abi()
    told = "not available" if landlock_abi() is None else f"ABI {landlock_abi()}"
    assert f"\nlandlock: {told}\n" in command("check", "1=127.0.0.1:2")[1]


def test_where_a_file_may_come_to_stand(tmp_path: Path) -> None:
    """It is the folder of the file, and that of each link on the way, but for / itself; a loop of links ends."""
    real, links = tmp_path / "real", tmp_path / "links"
    real.mkdir()
    links.mkdir()
    (real / "file").touch()
    (links / "folder").symlink_to(real)
    (links / "file").symlink_to("folder/../real/./file")
    (links / "loop").symlink_to("loop")
    assert places(str(real / "file")) == {str(real)}
    assert places(str(real / "missing")) == {str(real)}
    assert places(str(links / "file")) == {str(links), str(real)}
    assert places("/file") == {"/"}
    assert places(str(links / "loop")) == {str(links)}
    assert "/" not in places("/proc/self/status")


def test_a_file_that_is_a_mount_stands_for_itself(tmp_path: Path) -> None:
    """Of a folder into which Docker mounts a single file, only that file is opened."""
    code = guarded(own_names(tmp_path, "127.0.0.1")) + "from ambassador.server.hardening import places\n"
    code += "print(places('/etc/hosts'), places('/etc/resolv.conf'))\n"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment({})
    )
    assert "'/etc/hosts'" in done.stdout
    assert "'/etc'" not in done.stdout.partition(" {")[0]
