"""A handshake on sockets that have something to tell before it begins."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.tunnel import Credentials, TunnelFiles
from ambassador.tunnel.handshake import Handshake
from tests.support.net import pair

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
