"""Ambassadors with several workers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.admin import Admin
from tests.support.deadline import eventually
from tests.support.net import LOCAL, exactly, final_error, free_port, read_to_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Launch


class Fleet(Admin):
    """A running ambassador with workers, and its admin address."""

    @property
    def pids(self) -> list[int]:
        """The workers that live, in the order of their birth."""
        born = [event["pid"] for event in self.ambassador.named("worker.started")]
        dead = {event["pid"] for event in self.ambassador.named("worker.died")}
        return [pid for pid in born if pid not in dead]

    def answers(self) -> None:
        """Wait until the admin server serves."""
        eventually(lambda: self.ask("/livez").status == 200)

    def owners(self, workers: int = 2) -> list[int]:
        """Count the live connections of each worker."""
        numbers = [entry["id"] for entry in self.json("/connections")["connections"]]
        return [sum(number % workers == index for number in numbers) for index in range(workers)]


class LaunchFleet(Protocol):
    """How tests start an ambassador with workers."""

    def __call__(
        self, *upstreams: str | int, settings: Mapping[str, str] | None = None, loop: str = "uvloop",
        prelude: str = "", wait: bool = True,
    ) -> Fleet:  # fmt: skip
        """Start one with two workers, a route to each of *upstreams*, and an admin address."""


@pytest.fixture
def fleet(ambassador: Launch) -> LaunchFleet:
    """Start ambassadors with workers, which end with the test."""

    def launch(
        *upstreams: str | int, settings: Mapping[str, str] | None = None, loop: str = "uvloop",
        prelude: str = "", wait: bool = True,
    ) -> Fleet:  # fmt: skip
        port = free_port()
        # Should a test fail, workers whose parent is killed have this long for their connections.
        wanted = {"WORKERS": "2", "ADMIN": f"{LOCAL}:{port}", "DRAIN_TIMEOUT": "3s", **(settings or {})}
        started = ambassador(*upstreams, settings=wanted, loop=loop, prelude=prelude, wait=wait)
        return Fleet(started, port)

    return launch


def alive(pid: int) -> bool:
    """Tell whether a process lives; one that only waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def sockets(pid: int) -> set[str]:
    """Return what the descriptors of a process name that are sockets or epolls."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        if target.startswith("socket:"):
            found.add(target)
    return found


def say(client: socket.socket, text: bytes = b"hello") -> None:
    """Have *text* come back from an echoing upstream."""
    client.sendall(text)
    assert exactly(client, len(text)) == text


def talk(running: Fleet, clients: int) -> list[socket.socket]:
    """Return so many clients, each of which has talked with the upstream."""
    connected = [running.ambassador.connect() for _ in range(clients)]
    for client in connected:
        say(client)
    return connected


def close(clients: list[socket.socket]) -> None:
    """End every client's stream, in order, and wait for the end of the upstream's."""
    for client in clients:
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
        client.close()


def was_reset(client: socket.socket) -> bool:
    """Read the stream to its end; tell whether that was a reset."""
    with client:
        return final_error(client) is ConnectionResetError
