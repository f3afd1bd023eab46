"""What clients of the admin server may do to it, and what it does about that."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, connect, exactly, free_port, read_to_end
from tests.support.prelude import patch
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.admin import Admin
    from tests.support.watch import Watch


def test_slow_heads_never_keep_a_health_check_out(watch: Watch) -> None:
    """Heads that never end take every admin connection: who waits longest makes room, and others are answered."""
    admin = watch(free_port(), prelude=patch("ambassador.admin.clients", HEAD_SECONDS=3600.0))
    held = [connect(admin.port) for _ in range(80)]
    for sock in held:
        sock.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")

    for _ in range(10):
        assert admin.ask("/readyz").status == 200
    fds = len(os.listdir(f"/proc/{admin.ambassador.pid}/fd"))
    assert fds < 64 + 40  # 80 are not held: the first were sent away
    eventually(lambda: len(select.select(held, [], [], 0)[0]) >= 80 + 1 - 64)
    over = select.select(held, [], [], 0)[0]
    assert over == held[: len(over)]
    assert len(over) <= 80 + 10 - 64  # an answered client may be known to be gone only after the next has come
    refused = admin.ambassador.wait_for("admin.refused", by=LOCAL)
    assert refused[0]["reason"].startswith("more than 64 connections")
    for sock in held:
        sock.close()


def test_a_head_that_does_not_end_is_told_and_silence_is_not(watch: Watch) -> None:
    """When a head's time is over, whoever sent a part of one is logged as refused; an idle connection just ends."""
    admin = watch(free_port(), prelude=patch("ambassador.admin.clients", HEAD_SECONDS=0.3))
    with connect(admin.port) as silent, connect(admin.port) as idle:
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_to_end(silent) == b""
        assert read_to_end(idle).endswith(b"live\n")
    assert admin.ambassador.named("admin.refused") == []
    with connect(admin.port) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        assert read_to_end(slow) == b""
    (refused,) = admin.ambassador.wait_for("admin.refused", by=LOCAL)
    assert refused["reason"] == "no whole head within 0.3 s"


@pytest.mark.slow
def test_a_slow_head_is_given_ten_seconds(watch: Watch) -> None:
    """A head that comes byte by byte is cut off, whether or not bytes still come."""
    admin = watch(free_port())
    with connect(admin.port) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\n")
        started = time.monotonic()
        sock.settimeout(0.5)
        while time.monotonic() - started < PATIENCE:
            try:
                sock.sendall(b"X: y\r\n")
                if sock.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("still open")
        assert time.monotonic() - started > 5


def test_hostile_requests_touch_no_relay(watch: Watch, serve: Serve) -> None:
    """Garbage, endless heads and endless bodies cost the sender its connection, and no relay anything."""
    admin = watch(serve(echo).port)
    with admin.ambassador.connect() as client:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00" * 50,
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
            b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /drain HTTP/1.1\r\nHost: evil\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        ):
            with connect(admin.port) as sock:
                try:
                    sock.sendall(garbage)
                    sock.shutdown(socket.SHUT_WR)
                    read_to_end(sock)
                except ConnectionError:
                    pass
            client.sendall(b"ping")
            assert exactly(client, 4) == b"ping"
    assert admin.ask("/readyz").status == 200
    assert not admin.ambassador.lines  # nothing but events on standard error


def test_a_reader_that_stalls_holds_little(watch: Watch, serve: Serve) -> None:
    """Clients that ask for thousands of connections and read nothing make the process hold no answers for them."""
    server = serve(hold)
    admin = watch(server.port, settings={"ACCESS_LOG": "off"})
    clients = [admin.ambassador.connect() for _ in range(400)]
    eventually(lambda: admin.json("/connections")["total"] == 400)
    before = admin.ambassador.memory()
    stalled = [_small_reader(admin) for _ in range(50)]
    for sock in stalled:
        sock.sendall(b"GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)

    assert admin.ask("/readyz").status == 200
    grown = admin.ambassador.memory() - before
    assert grown < 50 * 512 * 1024, grown  # the answers would be 60 MB
    for sock in (*clients, *stalled):
        sock.close()


@pytest.mark.slow
def test_a_reader_that_stalls_is_sent_away(watch: Watch) -> None:
    """Whoever asks for more than it reads is cut off when an answer's time is over, whatever it asked for."""
    admin = watch(free_port(), prelude=patch("ambassador.admin.guard", _ANSWER_SECONDS=0.5))
    for path in ("/metrics", "/status", "/", "/connections", "/nothing"):
        with _small_reader(admin) as sock:
            sock.setblocking(False)  # noqa: FBT003 - the name of it
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

            def was_reset(sock: socket.socket = sock, request: bytes = request) -> bool:
                try:
                    sock.send(request * 1000)
                except BlockingIOError:
                    return False
                except ConnectionError:
                    return True
                return False

            eventually(was_reset, path)
    (refused, *_) = admin.ambassador.wait_for("admin.refused", by=LOCAL, path="/metrics")
    assert "was not read within" in refused["reason"]
    assert not admin.ambassador.lines


def _small_reader(admin: Admin) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((LOCAL, admin.port))
    return sock
