"""What all tests share: ambassadors as processes, upstreams in threads, and both event loops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest
import uvloop

from ambassador.net import tcp
from tests.support.process import Ambassador
from tests.support.servers import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.support.servers import Behaviour

# How a run is divided; fixtures of tests in several folders: `watch` and `workers`, `join`, `proofs`, `standing`.
pytest_plugins = ["tests.support.division", "tests.support.watch", "tests.support.tunnels"]

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

# A timing never fails a test; what was found is found again, on any machine.
hypothesis.settings.register_profile("ambassador", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ambassador")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on both event loops."""
    return LOOPS


@pytest.fixture(params=["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)])
def loop_name(request: pytest.FixtureRequest) -> str:
    """Name an event loop for an ambassador to run on: each test that asks runs with both, at leisure."""
    return str(request.param)


class Launch(Protocol):
    """How tests start an ambassador."""

    def __call__(
        self, *upstreams: str | int, settings: Mapping[str, str] | None = None, loop: str = "uvloop",
        files: int | None = None, prelude: str = "", arguments: Sequence[str] = (),
        links: Mapping[str, str] | None = None, wait: bool = True,
    ) -> Ambassador:  # fmt: skip
        """Start one with a route to each of *upstreams*, and wait until it is ready unless *wait* is false.

        *settings* are without their prefix, *files* is its limit of open files, *prelude* is Python to run before it.
        """


@pytest.fixture
def ambassador() -> Iterator[Launch]:
    """Start ambassadors, which end with the test."""
    with contextlib.ExitStack() as stack:

        def launch(
            *upstreams: str | int, settings: Mapping[str, str] | None = None, loop: str = "uvloop",
            files: int | None = None, prelude: str = "", arguments: Sequence[str] = (),
            links: Mapping[str, str] | None = None, wait: bool = True,
        ) -> Ambassador:  # fmt: skip
            started = Ambassador(
                upstreams, settings or {}, loop=loop, files=files, prelude=prelude, arguments=arguments,
                links=links or {},
            )  # fmt: skip
            stack.callback(started.close)
            if wait:
                started.ready()
            return started

        yield launch


class Serve(Protocol):
    """How tests start an upstream."""

    def __call__(self, behave: Behaviour | None = None, *, port: int = 0, listening: bool = True) -> Server:
        """Start one that does *behave* with each client; without it, the test itself does."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start upstreams in threads, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start(behave: Behaviour | None = None, *, port: int = 0, listening: bool = True) -> Server:
            server = Server(behave, port=port)
            stack.callback(server.stop)
            if listening:
                server.start()
            return server

        yield start


@pytest.fixture
def unpaced(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Keep the sockets that the relay takes out of pacing, instead of doing that."""
    taken: list[socket.socket] = []
    monkeypatch.setattr(tcp, "stop_pacing", taken.append)
    return taken
