"""A peer that holds the key, and sends records that carry nothing, as fast as it can."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import PATIENCE
from tests.support.net import exactly, final_error, perhaps_reset
from tests.support.proofs import key_server
from tests.support.records import Forge, forging
from tests.support.servers import hold
from tests.tunnel_link.test_middle import server_context

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.conftest import Launch, Serve
    from tests.support.tunnels import Join, Proofs, Standing

TOO_MANY = "too many records without payload from the peer"


def test_a_flood_of_nothing_ends_one_connection_and_troubles_no_other(standing: Standing, tmp_path: Path) -> None:
    """A hundred thousand changes of keys cost a source one connection, which says why; another is served meanwhile."""
    with standing.visit() as raw, standing.proofs.client.wrap_socket(raw) as other:
        with standing.source.connect() as sock:
            name = "{}:{}".format(*sock.getsockname())
            forge = forging(sock, standing.proofs.client, tmp_path / "keys.log")
            before = standing.source.cpu()
            with perhaps_reset():
                sock.sendall(forge.data(b"before") + forge.key_updates(100_000))
            other.sendall(b"meanwhile")
            assert exactly(other, 9) == b"meanwhile"
            assert final_error(sock) is ConnectionResetError
        (line,) = standing.source.wait_for("connection.closed", client=name)
        used = standing.source.cpu() - before

    assert (line["end"], line["error"], line["bytes_up"]) == ("protocol_error", TOO_MANY, 6)
    assert line["upstream"]
    assert used < 1  # all of them would take more
    standing.serves()


def test_keystrokes_are_no_flood(standing: Standing, tmp_path: Path) -> None:
    """Twenty thousand records of a byte each, without a pause and with keys that change among them, get through."""
    with standing.source.connect() as sock:
        forge = forging(sock, standing.proofs.client, tmp_path / "keys.log")
        words = b"".join(forge.data(b"k") + (forge.key_update() if n % 200 == 0 else b"") for n in range(20_000))
        writer = threading.Thread(target=sock.sendall, args=(words,), daemon=True)
        writer.start()
        received = 0
        while received < 20_000 + 17:  # what comes back is encrypted, so it is more
            received += len(sock.recv(65536))
        writer.join(PATIENCE)


def test_a_source_that_floods_is_ended_too(ambassador: Launch, serve: Serve, proofs: Proofs, tmp_path: Path) -> None:
    """A target ends a source that sends nothing but changes of keys, and its client is reset after what came before."""

    def flood(client: socket.socket) -> None:
        context = key_server(proofs.keys.keys[0]) if proofs.keys else server_context(proofs.source)
        context.num_tickets = 0
        forge: Forge = forging(client, context, tmp_path / "keys.log", server_side=True)
        with perhaps_reset():
            client.sendall(forge.data(b"before") + forge.key_updates(50_000))
        hold(client)

    target = ambassador(serve(flood).port, settings=proofs.target)
    with target.connect() as client:
        assert exactly(client, 6) == b"before"
        assert final_error(client) is ConnectionResetError
    (line,) = target.closed()

    assert (line["end"], line["error"], line["bytes_down"]) == ("protocol_error", TOO_MANY, 6)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_changed_first_record_is_no_failed_handshake(join: Join, way: str) -> None:
    """What is changed after the handshake, and before the first payload came through, is `protocol_error`."""
    pair = join(None)
    with pair.connect() as client, pair.upstream.client() as upstream:
        getattr(pair.wire, way).flip_after(8)
        sender, reader = (client, upstream) if way == "up" else (upstream, client)
        sender.sendall(b"hello")
        assert final_error(reader) is ConnectionResetError
    judge = pair.source if way == "up" else pair.target
    (line,) = judge.closed()

    assert (line["end"], line["bytes_up" if way == "up" else "bytes_down"]) == ("protocol_error", 0)
    assert line["upstream"]
    assert "mac" in line["error"]
