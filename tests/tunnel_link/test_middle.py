"""Somebody between two ambassadors who plays the source: not one byte of a client's reaches him."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.tunnel import generate
from tests.support.cases import quick
from tests.support.net import final_error
from tests.support.proofs import KeyFile
from tests.support.servers import Server, echo
from tests.tunnel_link.test_strangers import FUTURE, PAST

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Launch, Serve
    from tests.support.proofs import Authority
    from tests.support.tunnels import Proofs

SECRET = b"AUTH hunter2\r\n" * 10


@dataclass
class Man:
    """Play a source by a TLS context, or none; keep what comes, before and after decryption."""

    context: ssl.SSLContext | None
    raw: bytearray = field(default_factory=bytearray)
    plain: bytearray = field(default_factory=bytearray)

    def play(self, client: socket.socket) -> None:
        """Shake hands if there is anything to do it by, then take whatever comes."""
        if self.context is None:
            client.sendall(b"+PONG\r\n")
            while data := client.recv(4096):
                self.raw += data
                self.plain += data
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        while data := client.recv(4096):
            self.raw += data
            incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.plain += tls.read(4096)
            client.sendall(outgoing.read())


def server_context(settings: Mapping[str, str], *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Make a server with the certificate of *settings*, that takes any client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(settings["TUNNEL_CERT_FILE"], settings["TUNNEL_PRIVATE_KEY_FILE"])
    return context


@pytest.fixture
def nothing_leaves(ambassador: Launch, serve: Serve) -> Any:
    """Let a client speak to a target that dials a man in the middle: the client is reset, and he has heard nothing."""

    def check(man: Man, settings: Mapping[str, str]) -> str:
        port = serve(man.play).port
        target = ambassador(port, settings={**settings, "CONNECT_TIMEOUT": "2s"})
        with target.connect() as client:
            client.sendall(SECRET)
            assert final_error(client) is ConnectionResetError
        (line,) = target.closed()
        assert (line["end"], line["bytes_up"], line["bytes_down"]) == ("handshake_failed", 0, 0)
        assert not man.plain or man.context is None
        assert b"hunter2" not in man.raw + man.plain
        assert target.lines == []
        return str(line["error"])

    return check


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_no_key(
    nothing_leaves: Any, key_file: KeyFile, stranger: Authority, newest: ssl.TLSVersion
) -> None:
    """A man in the middle with a certificate of his own gets no byte of payload out of a target with a key."""
    man = Man(server_context(stranger.settings("source"), newest=newest))

    assert nothing_leaves(man, key_file.settings("target"))
    assert man.raw


def test_a_certificate_of_somebody_else_is_no_proof(
    nothing_leaves: Any, authority: Authority, stranger: Authority
) -> None:
    """Nor does he out of a target that trusts another authority."""
    man = Man(server_context(stranger.settings("source")))

    told = nothing_leaves(man, authority.settings("target"))

    assert "the peer's certificate was refused" in told


def test_tls_1_2_is_not_spoken(nothing_leaves: Any, authority: Authority) -> None:
    """The right certificate over TLS 1.2 gets nothing either."""
    man = Man(server_context(authority.settings("source"), newest=ssl.TLSVersion.TLSv1_2))

    assert nothing_leaves(man, authority.settings("target"))
    assert man.raw


def test_a_plain_upstream_gets_no_plain_byte(nothing_leaves: Any, proofs: Proofs) -> None:
    """A target that dials a server without a tunnel falls back to nothing."""
    assert "the peer does not speak TLS" in nothing_leaves(Man(None), proofs.target)


def test_a_silent_upstream_is_given_up(ambassador: Launch, serve: Serve, proofs: Proofs) -> None:
    """A handshake that nobody answers ends with the time for the dial, and the client is reset."""
    silent = serve()
    target = ambassador(silent.port, settings={**proofs.target, "CONNECT_TIMEOUT": "1s"})

    with target.connect() as client:
        client.sendall(SECRET)
        assert final_error(client) is ConnectionResetError

    (line,) = target.closed()
    assert (line["end"], line["bytes_up"]) == ("handshake_failed", 0)
    with silent.client() as heard:
        assert b"hunter2" not in heard.recv(1 << 16)


@pytest.fixture
def refused_pair(ambassador: Launch, serve: Serve) -> Any:
    """Join a source and a target that do not trust each other: the client is reset, and neither lets a byte pass."""

    def check(source: Mapping[str, str], target: Mapping[str, str]) -> tuple[str, str]:
        upstream = serve()
        inner = ambassador(upstream.port, settings=source)
        outer = ambassador(inner.port, settings=target)
        with outer.connect() as client:
            client.sendall(SECRET)
            assert final_error(client) is ConnectionResetError
        lines = [*outer.closed(), *inner.closed()]
        # Whoever judges by rules of the ambassador's own says so by a reset alone, not by an alert of TLS.
        own_rule = "the peer's certificate is for " in lines[1]["error"]
        assert lines[0]["end"] == ("upstream_reset" if own_rule else "handshake_failed"), lines
        assert lines[1]["end"] == "handshake_failed", lines
        assert lines[1]["bytes_up"] == lines[0]["bytes_down"] == 0
        assert not upstream.accepted
        return lines[0].get("error", ""), lines[1]["error"]

    return check


def test_two_keys_do_not_fit(refused_pair: Any, key_file: KeyFile, tmp_path: Path) -> None:
    """Ends with different keys refuse each other, and both say so."""
    other = KeyFile(tmp_path, generate(), generate())

    at_target, at_source = refused_pair(other.settings("source"), key_file.settings("target"))

    assert "the peer refused: " in at_target
    assert at_source == "the peer offers no known key"


def test_a_key_and_certificates_do_not_fit(refused_pair: Any, key_file: KeyFile, authority: Authority) -> None:
    """Ends of which one has a key and the other certificates refuse each other."""
    assert all(refused_pair(key_file.settings("source"), authority.settings("target")))
    assert all(refused_pair(authority.settings("source"), key_file.settings("target")))


@pytest.mark.parametrize("who", quick(1, ["source", "target"]))
@pytest.mark.parametrize("wrong", ["authority", "expired", "not yet valid", "name"])
def test_certificates_that_do_not_fit(
    refused_pair: Any, authority: Authority, stranger: Authority, who: str, wrong: str
) -> None:
    """A certificate of the wrong authority, time or name at either end opens nothing, and both ends say so."""
    ends: dict[str, dict[str, str]] = {role: authority.settings(role) for role in ("source", "target")}
    if wrong == "authority":
        ends[who] = stranger.settings(who, trusts=authority)
    elif wrong != "name":
        ends[who] = authority.settings(who, **(PAST if wrong == "expired" else FUTURE))
    elif who == "source":
        ends[who] = authority.settings(who, "elsewhere.example")
    else:
        ends["source"]["TUNNEL_PEERS"] = "target.example"

    told = dict(zip(("target", "source"), refused_pair(ends["source"], ends["target"]), strict=True))

    judge = "source" if who == "target" else "target"
    assert "the peer's certificate" in told[judge]
    assert "the peer refused: " in told[who] or (wrong, who) == ("name", "target")


@pytest.mark.parametrize(("names", "peers"), [(["source.example"], "other.example,source.example"), ([], "")])
def test_certificates_that_fit(ambassador: Launch, authority: Authority, names: list[str], peers: str) -> None:
    """A target takes the names that it was given instead of the one that it dials, and a source likewise."""
    more = {"TUNNEL_PEERS": peers} if peers else {}
    with Server(lambda client: client.sendall(b"welcome")) as upstream:
        source = ambassador(upstream.port, settings={**authority.settings("source", *names)})
        target = ambassador(source.port, settings={**authority.settings("target"), **more})
        with target.connect() as client:
            assert client.recv(7) == b"welcome"


def test_a_tunnel_at_one_end_alone_carries_nothing(ambassador: Launch, proofs: Proofs) -> None:
    """Where only one of both ambassadors was told of the tunnel, clients are reset, and the upstream hears none."""
    with Server(echo) as upstream:
        closed = ambassador(upstream.port, settings=proofs.source)
        outer = ambassador(closed.port)
        with outer.connect() as client:
            client.sendall(SECRET)
            assert final_error(client) is ConnectionResetError
        assert (outer.closed()[0]["end"], closed.closed()[0]["end"]) == ("upstream_reset", "handshake_failed")
        assert not upstream.accepted

        heard = bytearray()
        with Server(lambda client: heard.extend(client.recv(1 << 16))) as overheard:
            opened = ambassador(overheard.port)
            outer = ambassador(opened.port, settings=proofs.target)
            with outer.connect() as client:
                client.sendall(SECRET)
                assert final_error(client) is ConnectionResetError
            assert outer.closed()[0]["end"] == "handshake_failed"
            opened.closed()
        assert b"hunter2" not in heard
