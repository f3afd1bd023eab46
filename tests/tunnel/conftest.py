"""Two ends of a tunnel in one process, without sockets."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest
import trustme

from ambassador.tunnel import CHUNK, Codec, Credentials, HandshakeError, Tunnel, TunnelFiles, generate
from ambassador.tunnel.credentials import SHARED_KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.proofs import Validity


@dataclass
class End:
    """One codec, what is on the wire towards its peer, and what the application has written and read."""

    codec: Codec
    wire: bytearray = field(default_factory=bytearray)
    written: bytearray = field(default_factory=bytearray)
    read: bytearray = field(default_factory=bytearray)
    said_end: bool = False

    def write(self, data: bytes) -> None:
        """Encrypt *data*."""
        self.written += data
        self.wire += self.codec.encrypt(data)

    def end(self) -> None:
        """Say that nothing more will be written."""
        self.said_end = True
        self.wire += self.codec.end()

    def receive(self, ciphertext: bytes) -> None:
        """Decrypt what comes from the peer, as much at a time as a relay reads."""
        for start in range(0, len(ciphertext) or 1, CHUNK):
            self.read += self.codec.decrypt(ciphertext[start : start + CHUNK])


@dataclass
class Pair:
    """A target's codec and a source's, and the wire between them."""

    target: End
    source: End

    def other(self, end: End) -> End:
        """Return the peer of *end*."""
        return self.source if end is self.target else self.target

    def shake(self, *, step: int = 65536) -> Pair:
        """Let both shake hands, at most *step* bytes at a time."""
        self.target.codec.handshake()
        self.target.wire += self.target.codec.outgoing()
        while self.target.wire or self.source.wire:
            for end in (self.target, self.source):
                part = bytes(end.wire[:step])
                del end.wire[:step]
                peer = self.other(end)
                if peer.codec.established:
                    peer.receive(part)
                else:
                    peer.codec.handshake(part)
                    peer.wire += peer.codec.outgoing()
        assert self.target.codec.established
        assert self.source.codec.established
        return self

    def carry(self, sender: End, size: int | None = None) -> None:
        """Carry at most *size* bytes of what *sender* has on the wire."""
        part = bytes(sender.wire[:size])
        del sender.wire[: len(part)]
        self.other(sender).receive(part)

    def carry_all(self) -> None:
        """Carry what is on the wire both ways."""
        self.carry(self.target)
        self.carry(self.source)


class Outcome(Protocol):
    """How a handshake ends: each side's reason to refuse, or nothing, and whether either has let the other in."""

    def __call__(self, target: Codec, source: Codec) -> tuple[str, str]:
        """Return the target's reason and the source's."""


@pytest.fixture
def refusals() -> Outcome:
    """Let two codecs shake hands, to say why each side gave up; a target looks at its first answer, too."""

    def shake(target: Codec, source: Codec) -> tuple[str, str]:
        reasons = {target: "", source: ""}
        towards = {source: b"", target: b""}
        for turn in range(8):
            codec, peer = (target, source) if turn % 2 == 0 else (source, target)
            data, towards[codec] = towards[codec], b""
            if reasons[codec]:
                continue
            if codec.established:
                codec.decrypt(data)
                reasons[codec] = codec.broken
                continue
            try:
                codec.handshake(data)
            except HandshakeError as error:
                reasons[codec] = str(error)
            towards[peer] += codec.outgoing()
        return reasons[target], reasons[source]

    return shake


class Authority:
    """A certificate authority, and the files of ends that it vouches for."""

    def __init__(self, folder: Path, ca: trustme.CA | None = None) -> None:
        self.ca = ca or trustme.CA()
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.file = self.write("ca.pem", self.ca.cert_pem.bytes())

    def write(self, name: str, content: bytes) -> Path:
        """Write a file that nobody else may read."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def files(
        self, *names: str, server_side: bool, authority: Authority | None = None, peers: tuple[str, ...] = (),
        **validity: Unpack[Validity],
    ) -> TunnelFiles:  # fmt: skip
        """Issue a certificate for *names*, to be used with peers of *authority* (its own by default)."""
        leaf = self.ca.issue_cert(*names, **validity)
        stem = secrets.token_hex(4)
        return TunnelFiles(
            server_side=server_side,
            certificate=self.write(f"{stem}.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems)),
            private_key=self.write(f"{stem}.key", leaf.private_key_pem.bytes()),
            authority=(authority or self).file,
            peers=peers,
        )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Found an authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Found another authority, that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for key files; tests that ask for it need shared keys."""
    if not SHARED_KEYS:
        pytest.skip("needs Python 3.13")
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session", params=["key", "certificates"])
def tunnels(request: pytest.FixtureRequest) -> tuple[Tunnel, Tunnel]:
    """Return a target's tunnel and a source's that trust each other."""
    if request.param == "key":
        path: Path = request.getfixturevalue("key_folder") / "tunnel.key"
        path.write_text(generate() + "\n")
        path.chmod(0o600)
        both = [TunnelFiles(server_side=side, key=path) for side in (False, True)]
    else:
        ca: Authority = request.getfixturevalue("authority")
        both = [ca.files("target.example", server_side=False), ca.files("source.example", server_side=True)]
    target, source = (Credentials(one).tunnel for one in both)
    return target, source


class MakePair(Protocol):
    """Make pairs of codecs."""

    def __call__(self, *, shaken: bool = True) -> Pair:
        """Make a pair, with its hands shaken already by default."""


@pytest.fixture(scope="session")
def make_pair(tunnels: tuple[Tunnel, Tunnel]) -> MakePair:
    """Return a maker of pairs."""

    def make(*, shaken: bool = True) -> Pair:
        target, source = tunnels
        pair = Pair(End(target.codec("source.example")), End(source.codec()))
        return pair.shake() if shaken else pair

    return make
