"""What passes through a tunnel between two ambassadors, and what somebody on the wire sees of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import PATIENCE
from tests.support.net import digest_to_end, exactly, final_error, read_to_end, reset

if TYPE_CHECKING:
    from tests.support.tunnels import Join

LARGE = bytes(range(256)) * (16 << 12)  # 16 MiB: more than the queues on the way hold while nobody reads


def flood(sock: socket.socket, heard: threading.Event) -> None:
    """Send much, read up to the end of stream meanwhile, and answer with how much was read."""
    sender = threading.Thread(target=sock.sendall, args=(LARGE,))
    sender.start()
    count = len(read_to_end(sock))
    heard.set()
    sender.join()
    sock.sendall(b"%d" % count)
    sock.shutdown(socket.SHUT_WR)


def test_bytes_pass_unchanged_and_unread(join: Join, loop_name: str) -> None:
    """Question and answer come through as they are, while not one of their words is to be read on the wire."""
    pair = join(loop=loop_name)
    question = b"the quick brown fox jumps over the lazy dog; " * 3000

    with pair.connect() as client:
        client.sendall(question)
        assert exactly(client, len(question)) == question
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""

    assert pair.ends() == [("closed", "closed")]
    for process in (pair.target, pair.source):
        assert [(line["bytes_up"], line["bytes_down"]) for line in process.closed()] == [(len(question),) * 2]
    for way in (pair.wire.up, pair.wire.down):
        assert len(way.passed) > len(question)
        assert b"quick brown" not in way.passed


def test_a_server_that_speaks_first_is_heard(join: Join) -> None:
    """The upstream's greeting reaches a client that has said nothing yet."""
    pair = join(lambda client: client.sendall(b"220 ready\r\n"))

    with pair.connect() as client:
        assert read_to_end(client) == b"220 ready\r\n"

    assert pair.ends() == [("closed", "closed")]


@pytest.mark.parametrize("first", ["client", "upstream"])
def test_half_close_while_the_other_direction_is_full(join: Join, loop_name: str, first: str) -> None:
    """An end of stream passes by a direction that nobody reads at the moment, which loses nothing of what it holds."""
    pair = join(None, loop=loop_name)
    heard = threading.Event()

    with pair.connect() as client:
        upstream = pair.upstream.client()
        ender, flooder = (client, upstream) if first == "client" else (upstream, client)
        flooding = threading.Thread(target=flood, args=(flooder, heard))
        flooding.start()
        ender.sendall(b"question")
        ender.shutdown(socket.SHUT_WR)
        assert heard.wait(PATIENCE)
        received = read_to_end(ender)
        flooding.join()

    assert received == LARGE + b"8"
    assert pair.ends() == [("closed", "closed")]


def test_the_end_of_a_question_is_heard_before_the_answer(join: Join) -> None:
    """An upstream that answers only after the client's end of stream is still heard."""

    def answer(client: socket.socket) -> None:
        count, digest = digest_to_end(client)
        client.sendall(f"{count} {digest}".encode())

    pair = join(answer)

    with pair.connect() as client:
        client.sendall(LARGE)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).startswith(b"%d " % len(LARGE))

    assert pair.ends() == [("closed", "closed")]


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_reset_passes_as_a_reset(join: Join, loop_name: str, who: str) -> None:
    """A reset of one end reaches the other end as a reset, after what was sent before it."""
    pair = join(None, loop=loop_name)
    client = pair.connect()
    upstream = pair.upstream.client()
    one, other = (client, upstream) if who == "client" else (upstream, client)

    one.sendall(b"last words")
    assert exactly(other, 10) == b"last words"
    reset(one)

    assert final_error(other) is ConnectionResetError
    other.close()
    assert pair.ends() == [(f"{who}_reset",) * 2]


def test_a_slow_reader_slows_its_sender(join: Join) -> None:
    """What nobody reads is not piled up by either ambassador: the sender has to wait, and all of it comes."""
    pair = join(None)
    with pair.connect() as client:
        upstream = pair.upstream.client()
        client.sendall(LARGE[: 1 << 20])
        exactly(upstream, 1 << 20)
        before = [process.memory() for process in (pair.target, pair.source)]
        sent = stuff(client)
        after = [process.memory() for process in (pair.target, pair.source)]
        assert exactly(upstream, sent) == (LARGE * (sent // len(LARGE) + 1))[:sent]
        upstream.shutdown(socket.SHUT_WR)

    assert all(full - empty < 2 << 20 for full, empty in zip(after, before, strict=True)), (before, after, sent)


def stuff(sock: socket.socket) -> int:
    """Send until nothing has been taken for half a second; return how much it was."""
    sent = 0
    sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            start = sent % len(LARGE)
            sent += sock.send(LARGE[start : start + (1 << 16)])
    return sent
