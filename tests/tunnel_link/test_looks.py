"""The files of a tunnel that is in use are looked at beside it, and nothing waits for them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel import generate
from tests.support.confine import pids_limit
from tests.support.deadline import eventually
from tests.support.fuse import hanging_folder
from tests.support.proofs import key_client, needs_keys
from tests.support.rotation import enters, reload
from tests.support.servers import Server, echo

if TYPE_CHECKING:
    from tests.conftest import Launch
    from tests.support.proofs import KeyFile


@needs_keys
def test_a_file_system_that_hangs_holds_nothing_up(ambassador: Launch, tmp_path: Path) -> None:
    """While a look hangs clients are served, one event says so, nothing piles up, and a new key is used afterwards."""
    old, new = generate(), generate()
    with Server(echo) as upstream, hanging_folder(tmp_path / "keys") as folder:
        folder.content = old.encode()
        settings = {"TUNNEL": "source", "TUNNEL_KEY_FILE": str(folder.path)}
        source = ambassador(upstream.port, settings=settings)
        threads = count_threads(source.pid)

        folder.content = new.encode()
        folder.hangs = True
        source.signal(signal.SIGHUP)
        eventually(lambda: folder.asked, "a look")
        for _ in range(20):
            source.signal(signal.SIGHUP)
            assert enters(source.port, key_client(old))
        (event,) = source.wait_for("tunnel.reload_failed")
        assert event["variable"] == "AMBASSADOR_TUNNEL_KEY_FILE"
        assert f"{folder.path}: its file system has not answered within 5 s" in event["problem"]
        assert enters(source.port, key_client(old))
        assert len(children(source.pid)) == 1
        assert count_threads(source.pid) == threads
        source.signal(signal.SIGHUP)
        source.wait_for("tunnel.reload_failed", 2)
        assert len(children(source.pid)) == 1

        folder.hangs = False
        source.wait_for("tunnel.reloaded")
        assert enters(source.port, key_client(new))
        assert not enters(source.port, key_client(old))
        assert len(source.named("tunnel.reload_failed")) == 2


@needs_keys
def test_a_look_that_hangs_does_not_hold_up_the_end(ambassador: Launch, tmp_path: Path) -> None:
    """SIGTERM ends a process whose look at its files hangs; what looks ends when it can."""
    with Server(echo) as upstream, hanging_folder(tmp_path / "keys") as folder:
        folder.content = generate().encode()
        settings = {"TUNNEL": "source", "TUNNEL_KEY_FILE": str(folder.path)}
        source = ambassador(upstream.port, settings=settings)
        folder.hangs = True
        source.signal(signal.SIGHUP)
        eventually(lambda: folder.asked, "a look")
        (looking,) = children(source.pid)

        source.signal(signal.SIGTERM)

        assert source.exit_code() == 0
        folder.hangs = False
        eventually(lambda: not Path(f"/proc/{looking}").exists(), "the end of what looks")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_looks_ends_with_the_ambassador(ambassador: Launch, key_file: KeyFile, number: signal.Signals) -> None:
    """However the ambassador ends, nothing is left of the process that looks at its files."""
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))
        reload(source, lambda: None)
        (looking,) = children(source.pid)
        source.signal(number)
        source.exit_code()
        eventually(lambda: not Path(f"/proc/{looking}").exists(), "the end of what looks")


def test_a_helper_that_dies_is_succeeded(ambassador: Launch, key_file: KeyFile) -> None:
    """Where what looks at the files was killed, the next look is made by another."""
    new = generate()
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))
        reload(source, lambda: None)
        (looking,) = children(source.pid)
        os.kill(looking, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{looking}").exists(), "its end")
        reload(source, lambda: key_file.write(new))
        assert enters(source.port, key_client(new))
        assert children(source.pid) != [looking]


def test_a_helper_that_hangs_is_succeeded(ambassador: Launch, key_file: KeyFile) -> None:
    """What looks at the files and does not come to an end is killed, and the look is made by another, unasked."""
    new = generate()
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))
        reload(source, lambda: None)
        (looking,) = children(source.pid)
        os.kill(looking, signal.SIGSTOP)
        key_file.write(new)
        source.signal(signal.SIGHUP)
        source.wait_for("tunnel.reload_failed")
        source.wait_for("tunnel.reloaded", 2)
        assert enters(source.port, key_client(new))
        assert looking not in children(source.pid)
        assert len(source.named("tunnel.reload_failed")) == 1


def test_without_room_to_look_a_reload_says_so(ambassador: Launch, key_file: KeyFile) -> None:
    """Where no process can be started the files are not looked at, and the log says what would help."""
    with Server(echo) as upstream, pids_limit(1) as prelude:
        source = ambassador(upstream.port, settings=key_file.settings("source"), prelude=prelude)
        reload(source, lambda: key_file.write(generate()), event="tunnel.reload_failed")
        assert "raise the pids limit" in source.named("tunnel.reload_failed")[0]["problem"]
        assert not enters(source.port, key_client(key_file.keys[0]))
        source.stop()


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    return [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]


def count_threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
