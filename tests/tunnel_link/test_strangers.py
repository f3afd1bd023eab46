"""Strangers at a tunnel's listener: who cannot prove itself is reset, and nothing is dialled for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.tunnel import generate
from tests.support.middle import read_to_error
from tests.support.net import final_error, reset
from tests.support.proofs import Validity, certificate_client, key_client, with_certificates, with_key

if TYPE_CHECKING:
    from tests.support.proofs import Authority
    from tests.support.tunnels import Standing

PAST = Validity(not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), not_after=dt.datetime(2020, 2, 1, tzinfo=dt.UTC))
FUTURE = Validity(not_before=dt.datetime(2090, 1, 1, tzinfo=dt.UTC), not_after=dt.datetime(2091, 1, 1, tzinfo=dt.UTC))
PLAIN = {
    "http": b"GET / HTTP/1.1\r\nHost: redis\r\n\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "zeros": bytes(4096),
    "noise": random.Random(1).randbytes(4096),  # noqa: S311 - the same noise each time
    "proxy": b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 6379\r\n",
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "data record": b"\x17\x03\x03\x00\x20" + bytes(32),
    "ssl 2": b"\x80\x2e\x01\x00\x02" + bytes(64),
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN)
def test_plain_clients_are_refused(standing: Standing, plain: bytes) -> None:
    """A client that does not speak TLS, a port scanner for one, is reset and gets no plain answer."""
    with standing.refuses(), standing.source.connect() as client:
        client.sendall(plain)
        received, error = read_to_error(client)
    assert error is ConnectionResetError
    # Nothing but an alert: type 21.
    assert received[:1] in {b"", b"\x15"}
    assert b"PONG" not in received
    standing.serves()


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_port_scan_is_refused(standing: Standing, how: str) -> None:
    """Whoever only connects and goes leaves one line in the access log, and nothing else."""
    with standing.refuses(20):
        for _ in range(20):
            client = standing.source.connect()
            if how == "reset":
                reset(client)
            else:
                client.close()
    standing.serves()


def refused_tls(standing: Standing, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None) -> str:
    """Come by TLS and say something; return the source's reason to refuse it. The client gets an error, and no byte."""
    with standing.refuses() as lines, standing.source.connect() as raw:
        try:
            with context.wrap_socket(raw, session=session) as client:
                client.sendall(b"let me in")
                received = client.recv(1)
        except (ssl.SSLError, ConnectionError):
            received = None
    assert received is None
    return str(lines[0]["error"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_tls_client_without_proof_is_refused(standing: Standing, version: ssl.TLSVersion) -> None:
    """TLS alone opens nothing: neither without the key nor without a certificate."""
    reason = refused_tls(standing, certificate_client(None, version=version))

    if version is ssl.TLSVersion.TLSv1_2:
        assert reason == "the peer does not speak TLS 1.3"
    else:
        assert reason in {"the peer has no certificate", "the peer offers no known key"}
    standing.serves()


def test_the_right_proof_over_tls_1_2_is_refused(standing: Standing) -> None:
    """Nobody talks a source down to TLS 1.2, whatever they hold."""
    if standing.proofs.keys is not None:
        context = key_client(standing.key(), version=ssl.TLSVersion.TLSv1_2)
    else:
        context = certificate_client(standing.proofs.target, version=ssl.TLSVersion.TLSv1_2)

    assert refused_tls(standing, context) == "the peer does not speak TLS 1.3"


@with_key
def test_an_unknown_key_is_refused(standing: Standing) -> None:
    """A key that the source's file does not hold opens nothing."""
    assert refused_tls(standing, key_client(generate())) == "the peer offers no known key"


@with_key
def test_a_wrong_key_under_a_known_name_is_refused(standing: Standing) -> None:
    """Whoever read a key's name off the wire, but does not hold the key, is not let in."""
    thief = key_client(generate(), name=standing.key())
    assert refused_tls(standing, thief) == "the peer does not hold the key it names"


@with_certificates
@pytest.mark.parametrize("validity", [PAST, FUTURE], ids=["expired", "not yet valid"])
def test_a_certificate_out_of_its_time_is_refused(standing: Standing, validity: Validity) -> None:
    """A certificate of the right authority opens nothing before or after its time."""
    reason = refused_tls(standing, certificate_client(standing.authority().settings("target", **validity)))
    assert reason.startswith("the peer's certificate was refused: certificate ")


@with_certificates
def test_a_certificate_of_another_authority_is_refused(standing: Standing, stranger: Authority) -> None:
    """A certificate that somebody else's authority issued opens nothing."""
    reason = refused_tls(standing, certificate_client(stranger.settings("target")))
    assert reason.startswith("the peer's certificate was refused: ")


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_handshake_in_pieces_is_a_handshake(standing: Standing, pieces: int) -> None:
    """A true client is let in however its first flight was cut into segments."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = standing.proofs.client.wrap_bio(incoming, outgoing)
    with standing.visit() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send_in_pieces(client, outgoing.read(), pieces)
                incoming.write(client.recv(pieces))
        tls.write(b"as ever")
        send_in_pieces(client, outgoing.read(), pieces)
        incoming.write(client.recv(4096))
        assert tls.read(7) == b"as ever"


def send_in_pieces(client: socket.socket, data: bytes, size: int) -> None:
    """Send *data* a few bytes a segment."""
    for start in range(0, len(data), size):
        client.sendall(data[start : start + size])


def first_flight(standing: Standing) -> bytes:
    """Return what a true client says first."""
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        standing.proofs.client.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def come_with(standing: Standing, flight: bytes) -> None:
    """Send *flight* to the source, then the end of stream; read what it has to say."""
    with standing.source.connect() as client:
        try:
            client.sendall(flight)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it was refused in the midst of it
        assert final_error(client) is ConnectionResetError


@settings(max_examples=60)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=9), st.integers(0, 9)), min_size=1, max_size=5))
def test_a_damaged_first_flight_lets_nobody_in(standing: Standing, edits: list[tuple[float, bytes, int]]) -> None:
    """Whatever becomes of a true client's first flight, its sender is refused, and the source goes on."""
    flight = first_flight(standing)
    for where, instead, gone in edits:
        at = int(where * len(flight))
        flight = flight[:at] + instead + flight[at + gone :]
    with standing.refuses():
        come_with(standing, flight)


@settings(max_examples=60)
@given(kind=st.sampled_from([0x14, 0x15, 0x16, 0x17, 0x80]), body=st.binary(max_size=600), length=st.integers(0, 65535))
def test_records_made_up_let_nobody_in(standing: Standing, kind: int, body: bytes, length: int) -> None:
    """Bytes that look like TLS records are refused like any others."""
    with standing.refuses():
        come_with(standing, bytes([kind, 3, 3]) + length.to_bytes(2, "big") + body)


def test_the_source_still_serves(standing: Standing) -> None:
    """After all that was tried in this file, whoever holds the proof is served."""
    standing.serves()


def test_a_handshake_without_end_is_refused(standing: Standing) -> None:
    """A stranger cannot make the source hold more than a handshake's worth, though it never stops to speak TLS."""
    # A ClientHello that announces 16 MiB, in records of 16 KiB.
    with standing.refuses() as lines, standing.source.connect() as client:
        client.sendall(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380))
        assert speak_until_refused(client, b"\x16\x03\x01\x40\x00" + bytes(16384)) < 16 << 20
    assert lines[0]["error"]
    standing.serves()


def speak_until_refused(client: socket.socket, record: bytes) -> int:
    """Send *record* again and again; return how many bytes were sent before the connection broke."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while True:
            sent += client.send(record)
    return sent


def test_a_silent_client_is_refused_in_time(standing: Standing) -> None:
    """Whoever says nothing is reset when CONNECT_TIMEOUT is over."""
    with standing.refuses() as lines, standing.source.connect() as client:
        assert final_error(client) is ConnectionResetError
    assert lines[0]["error"] == "not done in time"
    standing.serves()
