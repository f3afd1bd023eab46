"""A process that is stopped and goes on, as `docker pause` does it, or a debugger."""

from __future__ import annotations

import contextlib
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.servers import greet
from tests.support.wire import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador

    Pause = Callable[[Ambassador], AbstractContextManager[None]]

# Cgroups of the first version and of the second: where, in what file, and what stops and starts.
FREEZERS = (
    (Path("/sys/fs/cgroup/freezer"), "freezer.state", "FROZEN", "THAWED"),
    (Path("/sys/fs/cgroup"), "cgroup.freeze", "1", "0"),
)


class Freezer:
    """A cgroup that can stop what is in it."""

    def __init__(self, group: Path, file: str, stop: str, go: str) -> None:
        self.group = group
        self._switch, self._stop, self._go = group / file, stop, go

    @contextlib.contextmanager
    def frozen(self, running: Ambassador) -> Iterator[None]:
        """Freeze a process; it stays in the cgroup."""
        (self.group / "cgroup.procs").write_text(str(running.pid), encoding="ascii")
        self._switch.write_text(self._stop, encoding="ascii")
        try:
            yield
        finally:
            self._switch.write_text(self._go, encoding="ascii")

    def removed(self) -> bool:
        """Remove the cgroup; tell whether it is gone, which takes until the kernel is done with its last process."""
        with contextlib.suppress(OSError):
            self.group.rmdir()
        return not self.group.exists()


@pytest.fixture
def freezer() -> Iterator[Freezer]:
    """Yield a freezer. Whoever asks for it first has it removed last, when what was in it has ended."""
    needs()
    name = f"ambassador-{secrets.token_hex(3)}"
    for root, *how in FREEZERS:
        made = Freezer(root / name, *how)
        with contextlib.suppress(OSError):
            made.group.mkdir()
        if (made.group / how[0]).exists():
            yield made
            eventually(made.removed, "the end of the cgroup")
            return
        made.removed()
    pytest.skip("no cgroups here with a freezer, or none that can be written to")


@contextlib.contextmanager
def stopped(running: Ambassador) -> Iterator[None]:
    """Stop a process by a signal."""
    running.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        running.signal(signal.SIGCONT)


def is_served_after(pause: Pause, ambassador: Launch, serve: Serve) -> None:
    """Assert that a client is served whose upstream came during a pause, by the end of which its dial was due."""
    server = serve(greet, listening=False)
    running = ambassador(server.port, settings={"CONNECT_TIMEOUT": "3s"})
    with running.connect() as client:
        running.wait_for("route.upstream_down")
        with pause(running):
            server.start()
            time.sleep(4)  # which is what happens: time passes, and the ambassador does not know
        assert client.recv(1) == b"x"


@pytest.mark.slow
def test_a_dial_that_was_frozen_past_its_deadline_is_tried_again(
    freezer: Freezer, ambassador: Launch, serve: Serve
) -> None:
    """After a pause by the cgroup freezer past CONNECT_TIMEOUT a waiting client is served, if the upstream came."""
    is_served_after(freezer.frozen, ambassador, serve)


@pytest.mark.slow
def test_a_dial_that_was_stopped_past_its_deadline_is_tried_again(ambassador: Launch, serve: Serve) -> None:
    """After a pause by SIGSTOP past CONNECT_TIMEOUT a waiting client is served, if the upstream came."""
    is_served_after(stopped, ambassador, serve)
