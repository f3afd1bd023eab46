"""Keys and authorities that are removed while somebody shakes hands by them, and holds the last word back."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel import generate
from tests.support.deadline import PATIENCE
from tests.support.net import connect, exactly, final_error, perhaps_reset
from tests.support.proofs import (
    MODES,
    Authority,
    KeyFile,
    certificate_client,
    key_client,
    key_server,
    write_secret,
)
from tests.support.rotation import reload
from tests.tunnel_link.test_cuts import shake
from tests.tunnel_link.test_middle import server_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Launch, Serve

SECRET = b"AUTH hunter2\r\n"


@dataclass
class Turnover:
    """An ambassador's settings, what is removed and what is not, as a peer has it, and how that is done."""

    settings: dict[str, str]
    removed: ssl.SSLContext
    kept: ssl.SSLContext
    remove: Callable[[], object]
    add: Callable[[], object]


def turnover(role: str, mode: str, folder: Path) -> Turnover:
    """Make the files of an ambassador, which trusts an old key or authority first, and then only a new one.

    A source trusts both at first; a target offers its first key, and so is sent the new one only by the removal.
    """
    source = role == "source"
    if mode == "key":
        old, new = generate(), generate()
        file = KeyFile(folder, old, *([new] if source else []))
        peer = key_client if source else key_server
        return Turnover(
            file.settings(role), peer(old), peer(new), lambda: file.write(new), lambda: file.write(old, new)
        )
    first, second = Authority(folder), Authority(folder)
    both = first.file.read_bytes() + second.file.read_bytes()
    trusted = write_secret(folder / "trusted.ca", both if source else first.file.read_bytes())
    settings = {**first.settings(role), "TUNNEL_CA_FILE": str(trusted)}
    other = "target" if source else "source"
    bearer = certificate_client if source else server_context
    return Turnover(
        settings,
        bearer(first.settings(other)),
        bearer(second.settings(other)),
        lambda: write_secret(trusted, second.file.read_bytes()),
        lambda: write_secret(trusted, both),
    )


class Visitor:
    """A client of a source who holds back the last flight of his handshake."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.raw = connect(port)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        shake(self.tls, self.raw, self.incoming, self.outgoing)

    def finish(self, word: bytes = b"") -> None:
        """Send it, and a word."""
        self.tls.write(word)
        with perhaps_reset():
            self.raw.sendall(self.outgoing.read())

    def hears(self) -> bytes:
        """Return what is said to him next."""
        self.incoming.write(self.raw.recv(4096))
        return self.tls.read(4096)


@pytest.mark.parametrize("mode", MODES)
def test_a_source_admits_nobody_by_what_was_removed_meanwhile(
    ambassador: Launch, serve: Serve, tmp_path: Path, mode: str
) -> None:
    """Whoever began by a removed key or authority is refused, nothing is dialled, and who began by another comes in."""
    turn = turnover("source", mode, tmp_path)
    upstream = serve(lambda client: client.sendall(exactly(client, 5)))
    source = ambassador(upstream.port, settings=turn.settings)
    leaves, stays = Visitor(source.port, turn.removed), Visitor(source.port, turn.kept)

    reload(source, turn.remove)
    leaves.finish(b"hello")
    assert final_error(leaves.raw) is ConnectionResetError
    (line,) = source.closed()
    assert upstream.accepted == []
    stays.finish(b"hello")
    assert stays.hears() == b"hello"

    assert (line["end"], line["upstream"]) == ("handshake_failed", "")
    assert "was removed" in line["error"]
    for visitor in (leaves, stays):
        visitor.raw.close()


@pytest.mark.parametrize("mode", MODES)
def test_nor_by_a_header_that_comes_after_it(ambassador: Launch, serve: Serve, tmp_path: Path, mode: str) -> None:
    """A client that has proven itself, and owes its PROXY header yet, is not admitted by what was removed."""
    turn = turnover("source", mode, tmp_path)
    upstream = serve()
    source = ambassador(upstream.port, settings={**turn.settings, "PROXY_PROTOCOL_FROM": "127.0.0.0/8"})
    visitor = Visitor(source.port, turn.removed)
    visitor.finish()

    reload(source, turn.remove)
    visitor.finish(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")

    assert final_error(visitor.raw) is ConnectionResetError
    visitor.raw.close()
    assert source.closed()[0]["end"] == "handshake_failed"
    assert upstream.accepted == []


@dataclass
class Man:
    """Play a source, by one context after the other; hold back the first answer. Echo."""

    contexts: list[ssl.SSLContext]
    came: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    heard: list[bytes] = field(default_factory=list)

    def play(self, client: socket.socket) -> None:
        """Shake hands, then echo whatever comes."""
        number = len(self.heard)
        self.heard.append(b"")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.contexts[number].wrap_bio(incoming, outgoing, server_side=True)
        while data := client.recv(4096):
            incoming.write(data)
            try:
                while data := tls.read(4096):
                    self.heard[number] += data
                    tls.write(data)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                client.sendall(outgoing.read())
                raise
            if number == 0 and not self.came.is_set() and outgoing.pending:
                self.came.set()
                assert self.released.wait(PATIENCE)
            client.sendall(outgoing.read())


@pytest.mark.parametrize("mode", MODES)
def test_a_target_sends_nothing_by_what_was_removed_meanwhile(
    ambassador: Launch, serve: Serve, tmp_path: Path, mode: str
) -> None:
    """A source that answers only when it is no longer trusted gets no byte, and the target dials again."""
    turn = turnover("target", mode, tmp_path)
    man = Man([turn.removed, turn.kept])
    target = ambassador(serve(man.play).port, settings=turn.settings)
    with target.connect() as client:
        client.sendall(SECRET)
        assert man.came.wait(PATIENCE)
        reload(target, turn.remove)
        man.released.set()
        assert exactly(client, len(SECRET)) == SECRET

    assert man.heard == [b"", SECRET]
    (line,) = target.closed()
    assert line["bytes_up"] == len(SECRET)


@pytest.mark.parametrize("mode", MODES)
def test_a_target_finds_nobody_where_there_is_only_what_was_removed(
    ambassador: Launch, serve: Serve, tmp_path: Path, mode: str
) -> None:
    """Where nobody answers by what is trusted now, the client is reset, and not a byte of it was sent."""
    turn = turnover("target", mode, tmp_path)
    man = Man([turn.removed] * 2)
    target = ambassador(serve(man.play).port, settings={**turn.settings, "CONNECT_TIMEOUT": "5s"})
    with target.connect() as client:
        client.sendall(SECRET)
        assert man.came.wait(PATIENCE)
        reload(target, turn.remove)
        man.released.set()
        assert final_error(client) is ConnectionResetError

    assert man.heard == [b"", b""]
    assert target.closed()[0]["end"] == "handshake_failed"


@pytest.mark.parametrize("mode", MODES)
def test_what_stays_trusted_goes_on(ambassador: Launch, serve: Serve, tmp_path: Path, mode: str) -> None:
    """A handshake over a reload that only adds a key or an authority is not begun anew."""
    turn = turnover("target", mode, tmp_path)
    man = Man([turn.removed])
    target = ambassador(serve(man.play).port, settings=turn.settings)
    with target.connect() as client:
        client.sendall(SECRET)
        assert man.came.wait(PATIENCE)
        reload(target, turn.add)
        man.released.set()
        assert exactly(client, len(SECRET)) == SECRET

    assert man.heard == [SECRET]
