"""What every request meets before anything else, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.admin import TOKEN, address_of_this_machine
from tests.support.net import LOCAL, connect, free_port, read_to_end

if TYPE_CHECKING:
    from tests.support.admin import Admin
    from tests.support.watch import Watch

PATHS = ("/", "/livez", "/readyz", "/metrics", "/status", "/connections", "/nothing", "/connections/1")
# What is decompressed is a line on standard error.
DECOMPRESSED = """
import os
from aiohttp import http_parser
from tests.support.prelude import replace
def feed(*arguments):
    os.write(2, b"decompressed\\n")
    return plain(*arguments)
plain = replace(http_parser.DeflateBuffer, "feed_data", feed)
"""
EVIL, GOOD = "Host: evil.example\r\n", "Host: localhost\r\n"
SECURITY = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "server": "ambassador",
    "x-content-type-options": "nosniff",
}


class Raw(NamedTuple):
    """An answer, read by hand. *over* says that the connection ended with it."""

    status: int
    headers: dict[str, str]
    body: str
    over: bool


def send(admin: Admin, request: str | bytes) -> Raw:
    """Send what may be no request, and return the first answer that comes."""
    with connect(admin.port) as sock:
        sock.sendall(request.encode("latin-1") if isinstance(request, str) else request)
        file = sock.makefile("rb")
        status = int(file.readline().split()[1])
        lines = iter(lambda: file.readline().decode().strip(), "")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = file.read(int(headers.get("content-length", "0"))).decode()
        over = headers.get("connection") == "close"
        if over:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                assert read_to_end(sock) == b""
        return Raw(status, headers, body, over)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_expected_and_no_guard_passed_by_it(watch: Watch, method: str) -> None:
    """An `Expect` of any kind is 417 at every path, but 403 where the `Host` is foreign; HTTP/1.0 has none."""
    admin = watch(free_port())
    for path in PATHS:
        for expectation in ("100-continue", "x", ""):
            head = f"{method} {path} HTTP/1.1\r\nExpect: {expectation}\r\n"
            assert send(admin, f"{head}{GOOD}\r\n").status == 417, (path, expectation)
            assert send(admin, f"{head}{EVIL}\r\n").status == 403, (path, expectation)
    assert send(admin, f"GET /livez HTTP/1.0\r\n{GOOD}Expect: x\r\n\r\n").status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Content-Length: 1", "Transfer-Encoding: chunked"])
def test_bodies_are_refused_before_they_come(watch: Watch, framing: str) -> None:
    """A body is 413 at every path by its head alone, 403 with a foreign `Host`, and ends the connection."""
    admin = watch(free_port())
    for path in PATHS:
        for method in ("GET", "POST", "DELETE"):
            head = f"{method} {path} HTTP/1.1\r\n{framing}\r\n"
            answer = send(admin, f"{head}{GOOD}\r\n")
            assert (answer.status, answer.over) == (413, True), (path, method)
            answer = send(admin, f"{head}{EVIL}\r\n")
            assert (answer.status, answer.over) == (403, True), (path, method)


def test_a_compressed_body_is_not_looked_into(watch: Watch) -> None:
    """What comes compressed is 413 like any body, and nothing of it is decompressed."""
    admin = watch(free_port(), prelude=DECOMPRESSED)
    body = gzip.compress(bytes(10_000_000))
    head = f"POST /drain HTTP/1.1\r\n{GOOD}Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    assert send(admin, head.encode() + body).status == 413
    assert admin.ask("/readyz").status == 200
    assert not admin.ambassador.lines


def test_an_endless_body_is_read_for_a_moment_only(watch: Watch) -> None:
    """Whoever goes on sending after a refusal is cut off once the kernel's own buffers are full, and little more."""
    admin = watch(free_port())
    sent = 0
    with connect(admin.port) as sock:
        sock.sendall(f"POST /drain HTTP/1.1\r\n{GOOD}Content-Length: 100000000000\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                sent += sock.send(bytes(100_000))
    assert sent < 50_000_000


def test_every_answer_bears_the_same_head_and_no_version(watch: Watch) -> None:
    """Answers of all kinds, those to what is no HTTP included, have the security headers and name no software."""
    admin = watch(free_port())
    answers = {
        **{path: send(admin, f"GET {path} HTTP/1.1\r\n{GOOD}\r\n") for path in PATHS},
        "foreign": send(admin, f"GET / HTTP/1.1\r\n{EVIL}\r\n"),
        "origin": send(admin, f"POST /drain HTTP/1.1\r\n{GOOD}Origin: http://evil.example\r\n\r\n"),
        "method": send(admin, f"POST /status HTTP/1.1\r\n{GOOD}\r\n"),
        "expect": send(admin, f"GET / HTTP/1.1\r\n{GOOD}Expect: x\r\n\r\n"),
        "body": send(admin, f"GET / HTTP/1.1\r\n{GOOD}Content-Length: 1\r\n\r\nx"),
        "limit": send(admin, f"GET /connections?limit=x HTTP/1.1\r\n{GOOD}\r\n"),
        "tls": send(admin, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
        "no version": send(admin, "GET / HTTP/9.9\r\n\r\n"),
        "two hosts": send(admin, f"GET / HTTP/1.1\r\n{GOOD}{EVIL}\r\n"),
        "long": send(admin, f"GET / HTTP/1.1\r\n{GOOD}X: {'x' * 9000}\r\n\r\n"),
        "escape code": send(admin, f"GET /\x1b[31m HTTP/1.1\r\n{GOOD}\r\n"),
    }
    assert [answers[name].status for name in ("tls", "no version", "two hosts", "long", "escape code")] == [400] * 5
    for name, answer in answers.items():
        for header, value in SECURITY.items():
            assert answer.headers[header].startswith(value), (name, header)
        if name != "/":
            kind = "application/json" if name in {"/status", "/connections"} else "text/plain"
            assert answer.headers["content-type"].startswith(kind), name
        if name not in {"/", "/metrics", "/status"}:  # these tell of the machine and the ambassador, on purpose
            assert not any(word in str(answer).lower() for word in ("python", "aiohttp")), name


def test_who_is_refused_is_told_with_path_and_reason(watch: Watch) -> None:
    """Each kind of refusal leaves a line with who, what, where and why, and nothing of what may be a secret."""
    outside = address_of_this_machine()
    admin = watch(free_port(), settings={"ADMIN_TOKEN": TOKEN}, host="0.0.0.0")

    def told(by: str = LOCAL, **fields: object) -> str:
        (line,) = admin.ambassador.wait_for("admin.refused", 1, by=by, **fields)
        assert TOKEN not in str(line)
        return str(line["reason"])

    assert admin.ask("/status?a=b", headers={"Host": "evil.example"}).status == 403
    assert "by address" in told(method="GET", path="/status", status=403)
    assert admin.ask("/drain", "POST", {"Origin": "http://evil.example"}).status == 403
    assert "other origins" in told(method="POST", path="/drain", status=403)
    assert send(admin, f"GET /livez HTTP/1.1\r\n{GOOD}Expect: x\r\n\r\n").status == 417
    assert "expected" in told(path="/livez", status=417)
    assert send(admin, f"GET /readyz HTTP/1.1\r\n{GOOD}Content-Length: 1\r\n\r\n").status == 413
    assert "body" in told(path="/readyz", status=413)
    assert send(admin, "nonsense\r\n\r\n").status == 400
    assert "not HTTP" in told(status=400)
    admin.host = outside
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert admin.ask(f"/connections/1?token={TOKEN}", "DELETE", wrong).status == 401
    assert "bearer token" in told(outside, method="DELETE", path="/connections/1", status=401)
