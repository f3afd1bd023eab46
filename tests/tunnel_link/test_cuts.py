"""Connections that are cut, changed or played again on the wire: no end is taken for an orderly one."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Literal

import pytest

from tests.support.cases import quick
from tests.support.deadline import eventually
from tests.support.middle import read_to_error
from tests.support.net import connect, exactly, final_error, perhaps_reset, reset
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.support.tunnels import Join, Standing

STREAM = bytes(range(256)) * (4 << 10)  # 1 MiB


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("after", quick(1, [7, 0, 300_000]))
def test_a_cut_is_a_reset_at_both_ends(join: Join, way: str, how: Literal["end", "reset"], after: int) -> None:
    """A stream that ends without the tunnel's own word for it reaches the reader as a reset, and the sender, too."""
    pair = join(None)
    with pair.connect() as client, pair.upstream.client() as upstream:
        sender, reader = (client, upstream) if way == "up" else (upstream, client)
        sender.sendall(b"hello")
        assert exactly(reader, 5) == b"hello"

        getattr(pair.wire, way).cut_after(after, how)
        with contextlib.suppress(ConnectionError):
            sender.sendall(STREAM)
        with contextlib.suppress(OSError):
            sender.shutdown(socket.SHUT_WR)
        received, error = read_to_error(reader)

        assert error is ConnectionResetError
        assert STREAM.startswith(received)
        assert len(received) < max(after, 1)
        assert read_to_error(sender)[1] is not None
    for line in (*pair.target.closed(), *pair.source.closed()):
        assert line["end"] in {"client_reset", "upstream_reset"}


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_changed_bit_ends_the_stream_before_it(join: Join, way: str) -> None:
    """What was changed on the wire never comes out of the tunnel: its reader gets what came before, and a reset."""
    pair = join(None)
    with pair.connect() as client, pair.upstream.client() as upstream:
        sender, reader = (client, upstream) if way == "up" else (upstream, client)
        sender.sendall(b"hello")
        assert exactly(reader, 5) == b"hello"

        getattr(pair.wire, way).flip_after(200_000)
        with contextlib.suppress(ConnectionError):
            sender.sendall(STREAM)
        received, error = read_to_error(reader)

        assert error is ConnectionResetError
        assert STREAM.startswith(received)
        assert len(received) < 200_000
    judge, other = (pair.source, pair.target) if way == "up" else (pair.target, pair.source)
    assert [(line["end"], bool(line["error"])) for line in judge.closed()] == [("protocol_error", True)]
    assert other.closed()[0]["end"] == ("upstream_reset" if way == "up" else "client_reset")


def test_a_recording_opens_nothing(join: Join) -> None:
    """Whoever plays a whole connection again, or a part of it, is refused; the upstream hears nothing."""
    pair = join(hold)
    with pair.connect() as client:
        client.sendall(b"transfer 100")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    pair.ends()
    recording = bytes(pair.wire.up.passed)

    for number, size in enumerate((len(recording), len(recording) // 2), 2):
        with connect(pair.source.port) as player:
            with perhaps_reset():
                player.sendall(recording[:size])
                player.shutdown(socket.SHUT_WR)
            assert final_error(player) is ConnectionResetError
        line = pair.source.closed(number)[-1]
        assert (line["end"], line["upstream"], line["bytes_up"]) == ("handshake_failed", "", 0)
    assert len(pair.upstream.accepted) == 1


def test_a_recording_within_a_connection_is_no_part_of_it(join: Join) -> None:
    """A record that is sent twice, as by somebody on the wire, ends the connection, and is not delivered twice."""
    pair = join(None)
    with connect(pair.source.port) as raw:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = pair.proofs.client.wrap_bio(incoming, outgoing)
        shake(tls, raw, incoming, outgoing)
        tls.write(b"transfer 100")
        record = outgoing.read()
        raw.sendall(record)
        with pair.upstream.client() as upstream:
            assert exactly(upstream, 12) == b"transfer 100"
            raw.sendall(record)
            assert read_to_error(upstream) == (b"", ConnectionResetError)
    (line,) = pair.source.closed()
    assert (line["end"], line["bytes_up"]) == ("protocol_error", 12)


def shake(tls: ssl.SSLObject, raw: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    """Shake hands over *raw*, but leave the last flight in *outgoing*."""
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(1 << 14))
        else:
            return


@pytest.mark.parametrize("what", ["record that is none", "end of stream", "reset", "record, then the end"])
def test_what_comes_with_the_last_flight_ends_the_connection(standing: Standing, what: str) -> None:
    """A client that breaks off right behind its handshake costs the source one line, and no other client anything."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = standing.proofs.client.wrap_bio(incoming, outgoing)
    count = len(standing.source.named("connection.closed"))
    raw = standing.source.connect()
    shake(tls, raw, incoming, outgoing)
    if what == "record, then the end":
        tls.write(b"half a word")
    raw.sendall(outgoing.read() + (b"\x17\x03\x03\x00\x20" + bytes(32) if what == "record that is none" else b""))
    if what == "reset":
        reset(raw)
    elif what != "record that is none":
        raw.shutdown(socket.SHUT_WR)
    line = standing.source.closed(count + 1)[-1]
    raw.close()

    if what == "record that is none":
        assert (line["end"], line["upstream"] != "") == ("protocol_error", True)
    assert line["end"] in {"client_reset", "client_gone", "protocol_error"}
    standing.serves()


def test_nothing_is_left_of_what_was_cut(standing: Standing) -> None:
    """After a hundred connections that were cut at any moment the source holds as many files as before."""
    standing.serves()
    before = standing.source.descriptors()
    count = len(standing.source.named("connection.closed"))
    for number in range(100):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = standing.proofs.client.wrap_bio(incoming, outgoing)
        raw = standing.source.connect()
        if number % 2:
            shake(tls, raw, incoming, outgoing)
            tls.write(b"x" * 1000)
        else:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
        flight = outgoing.read()
        raw.sendall(flight[: len(flight) * number // 100])
        (reset if number % 3 else socket.socket.close)(raw)
    standing.source.closed(count + 100)
    eventually(lambda: standing.source.descriptors() <= before, "every file of them is closed")
    standing.serves()
