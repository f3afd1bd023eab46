"""What the harness has to know about a relay."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.ports import LOOPBACK, free_port
from bench.processes import Launch, Subject, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def always() -> str | None:
    """Say that nothing is missing."""
    return None


@dataclass(frozen=True)
class Relay:
    """A way from a port to an upstream. *launch* takes both ports and says which processes make it."""

    name: str
    launch: Callable[[int, int], tuple[Launch, ...]]
    missing: Callable[[], str | None] = always

    @contextlib.contextmanager
    def serve(self, upstream: int, *, wait: bool = True) -> Iterator[Subject]:
        """Run the relay in front of *upstream*, and end it afterwards."""
        with running(self.launch(free_port(), upstream), upstream, wait=wait) as subject:
            yield subject

    def shown(self) -> str:
        """Write the configuration, with the ports that stand for listener and upstream."""
        return "\n".join(launch.shown() for launch in self.launch(1111, 2222))


def needs(program: str) -> Callable[[], str | None]:
    """Make a check that *program* is on the path."""
    return lambda: None if shutil.which(program) else f"{program} is not installed"


def at(port: int) -> str:
    """Write the loopback address with *port*."""
    return f"{LOOPBACK}:{port}"
