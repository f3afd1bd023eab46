"""Pairs of ambassadors with a tunnel between them, and single ones that strangers come to."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from ambassador.tunnel.credentials import SHARED_KEYS
from tests.support.middle import Wire
from tests.support.process import Ambassador
from tests.support.proofs import MODES, STARTED_MODES, Authority, KeyFile, certificate_client, key_client
from tests.support.servers import Server, echo

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Launch
    from tests.support.process import Event
    from tests.support.proofs import Settings
    from tests.support.servers import Behaviour


@dataclass
class Proofs:
    """What proves both ends to each other, and a client of Python's own to the source."""

    source: Settings
    target: Settings
    client: ssl.SSLContext
    keys: KeyFile | None = None
    authority: Authority | None = None


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """Write a key file that both ends read; tests that ask for it need shared keys."""
    if not SHARED_KEYS:
        pytest.skip("shared keys need Python 3.13")
    return KeyFile(tmp_path)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Found an authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Found an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def make_proofs(mode: str, folder: Path) -> Proofs:
    """Make what proves two ends to each other, by a shared key or by certificates."""
    if mode == "key":
        file = KeyFile(folder)
        return Proofs(file.settings("source"), file.settings("target"), key_client(file.keys[0]), keys=file)
    authority = Authority(folder)
    target = authority.settings("target")
    return Proofs(authority.settings("source"), target, certificate_client(target), authority=authority)


@pytest.fixture(params=STARTED_MODES)
def proofs(request: pytest.FixtureRequest, tmp_path: Path) -> Proofs:
    """Make what proves two ends to each other; each test that asks runs in both modes."""
    return make_proofs(request.param, tmp_path)


@dataclass
class Pair:
    """A client's way to an upstream: target ambassador, wire, source ambassador."""

    target: Ambassador
    wire: Wire
    source: Ambassador
    upstream: Server
    proofs: Proofs

    def connect(self) -> socket.socket:
        """Come as a client."""
        return self.target.connect()

    def ends(self, count: int = 1) -> list[tuple[str, str]]:
        """Return how each connection ended, for the target and for the source, once *count* have at both."""
        at_target, at_source = self.target.closed(count), self.source.closed(count)
        return [(one["end"], other["end"]) for one, other in zip(at_target, at_source, strict=True)]


class Join(Protocol):
    """How tests make a pair."""

    def __call__(
        self, behave: Behaviour | None = echo, *, loop: str = "uvloop",
        source: Mapping[str, str] | None = None, target: Mapping[str, str] | None = None,
    ) -> Pair:  # fmt: skip
        """Start one before an upstream that does *behave*, with more settings for either end."""


@pytest.fixture
def join(ambassador: Launch, proofs: Proofs) -> Iterator[Join]:
    """Start pairs of ambassadors that trust each other; each test that asks runs in both modes."""
    with contextlib.ExitStack() as stack:

        def make(
            behave: Behaviour | None = echo, *, loop: str = "uvloop",
            source: Mapping[str, str] | None = None, target: Mapping[str, str] | None = None,
        ) -> Pair:  # fmt: skip
            upstream = stack.enter_context(Server(behave))
            inner = ambassador(upstream.port, settings={**proofs.source, **(source or {})}, loop=loop)
            wire = stack.enter_context(Wire(inner.port))
            outer = ambassador(wire.port, settings={**proofs.target, **(target or {})}, loop=loop)
            return Pair(outer, wire, inner, upstream, proofs)

        yield make


@dataclass
class Standing:
    """A source ambassador that stands for a whole module, and an upstream that must not be dialled for strangers."""

    source: Ambassador
    upstream: Server
    proofs: Proofs

    @contextlib.contextmanager
    def refuses(self, count: int = 1, end: str = "handshake_failed") -> Iterator[list[Event]]:
        """Make sure that *count* clients of the block are refused and nothing is dialled for them; give their lines."""
        before, dialled = len(self.source.named("connection.closed")), len(self.upstream.accepted)
        lines: list[Event] = []
        yield lines
        lines += self.source.closed(before + count)[before:]
        assert [line["end"] for line in lines] == [end] * count, lines
        assert {(line["upstream"], line["connect_ms"], line["bytes_up"], line["bytes_down"]) for line in lines} == {
            ("", None, 0, 0)
        }
        assert len(self.upstream.accepted) == dialled

    def key(self) -> str:
        """Return the shared key, of a test `with_key`."""
        assert self.proofs.keys is not None
        return self.proofs.keys.keys[0]

    def authority(self) -> Authority:
        """Return the authority of both ends, of a test `with_certificates`."""
        assert self.proofs.authority is not None
        return self.proofs.authority

    @contextlib.contextmanager
    def visit(self) -> Iterator[socket.socket]:
        """Come as a client who is let in; afterwards its line is in the access log."""
        with self.source.connect() as client:
            name = "{}:{}".format(*client.getsockname())
            yield client
        self.source.wait_for("connection.closed", client=name)

    def serves(self) -> None:
        """Make sure that whoever can prove itself is served as ever."""
        with self.visit() as raw, self.proofs.client.wrap_socket(raw) as client:
            client.sendall(b"as ever")
            assert client.recv(7) == b"as ever"


@pytest.fixture(scope="module", params=MODES)
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Start a source ambassador that strangers come to; each test that asks runs in both modes."""
    proofs = make_proofs(request.param, tmp_path_factory.mktemp("standing"))
    with Server(echo) as upstream:
        source = Ambassador(
            [upstream.port],
            {**proofs.source, "CONNECT_TIMEOUT": "3s"},
            loop="uvloop",
            files=None,
            prelude="",
            arguments=(),
            links={},
        )
        try:
            source.ready()
            yield Standing(source, upstream, proofs)
            assert source.process.poll() is None
            assert source.lines == []
        finally:
            source.close()
