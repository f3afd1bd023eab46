"""A handshake on sockets that have something to tell before it begins."""

from __future__ import annotations

import contextlib
import select
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.net import poller
from ambassador.tunnel import Credentials, TunnelFiles
from ambassador.tunnel.handshake import Handshake
from tests.support.deadline import PATIENCE
from tests.support.net import pair, reset

if TYPE_CHECKING:
    from tests.support.tunnels import Proofs


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"220 a server that speaks first, and no TLS\r\n", "the peer does not speak TLS"),
        (b"", "connection closed by the peer during the handshake"),
    ],
)
@pytest.mark.parametrize("role", ["target", "source"])
def test_what_came_before_the_handshake_is_looked_at(proofs: Proofs, role: str, said: bytes, told: str) -> None:
    """What a peer did before the first word needs no further event to be noticed."""
    ours, theirs = pair()
    with ours, theirs:
        theirs.sendall(said)
        theirs.close()
        ours.recv(1, socket.MSG_PEEK)
        ours.setblocking(False)  # noqa: FBT003 - the name of it
        reasons: list[str] = []
        codec = Credentials(files(proofs, role)).tunnel.codec("127.0.0.1")

        Handshake(ours, codec, done=lambda: reasons.append("done"), failed=reasons.append).start()

        assert reasons == [told]


def test_a_word_that_finds_no_room_goes_later(proofs: Proofs) -> None:
    """Where the socket takes nothing yet, the first word waits for room, and is then said once."""
    ours, theirs = pair()
    with ours, theirs:
        ours.setblocking(False)  # noqa: FBT003 - the name of it
        codec = Credentials(files(proofs, "target")).tunnel.codec("127.0.0.1")
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += ours.send(bytes(1 << 16))
        reasons: list[str] = []
        handshake = Handshake(ours, codec, done=lambda: reasons.append("done"), failed=reasons.append)

        handshake.start()
        said = b""
        while len(said) < filled:
            said += theirs.recv(1 << 20)
        assert select.select([], [ours], [], PATIENCE)[1]
        handshake.on_events(poller.OUT)
        handshake.on_events(poller.OUT)

        hello = theirs.recv(1 << 16)
        assert hello[:2] == b"\x16\x03"  # a record of a handshake (RFC 8446, section 5.1)
        assert len(hello) == 5 + int.from_bytes(hello[3:5])
        assert reasons == []


def test_a_peer_that_is_gone_before_the_first_word_fails_the_handshake(proofs: Proofs) -> None:
    """A word that finds nobody is no end by itself; the read that follows tells it, once."""
    ours, theirs = pair()
    with ours:
        reset(theirs)
        ours.setblocking(False)  # noqa: FBT003 - the name of it
        reasons: list[str] = []
        codec = Credentials(files(proofs, "target")).tunnel.codec("127.0.0.1")

        Handshake(ours, codec, done=lambda: reasons.append("done"), failed=reasons.append).start()

        assert reasons == ["connection closed by the peer during the handshake"]


def files(proofs: Proofs, role: str) -> TunnelFiles:
    """Return the files of one end."""
    settings = getattr(proofs, role)

    def named(setting: str) -> Path | None:
        return Path(settings[setting]) if setting in settings else None

    return TunnelFiles(
        server_side=role == "source",
        key=named("TUNNEL_KEY_FILE"),
        certificate=named("TUNNEL_CERT_FILE"),
        private_key=named("TUNNEL_PRIVATE_KEY_FILE"),
        authority=named("TUNNEL_CA_FILE"),
    )
