"""`ambassador healthcheck`: ask the running ambassador whether it is ready.

Docker runs this every few seconds, in a process of its own each time, so it imports next to nothing: no pydantic, no
uvloop, no aiohttp, and not even http.client.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import time

DEFAULT_ADMIN = "127.0.0.1:9901"
# An ambassador that needs longer than this to say that it is ready is not.
TIMEOUT = 3.0
# Far more than an address, as for any other setting.
_LONGEST_FILE = 1 << 20


def main() -> int:
    """Print one line on how the ambassador is; return 0 when it is ready, else 1."""
    try:
        admin = admin_address()
    except OSError as error:
        return _say(1, f"cannot read AMBASSADOR_ADMIN_FILE: {error.strerror}")
    if admin.lower() == "off":
        return _say(0, "AMBASSADOR_ADMIN=off: there is nothing to ask")
    try:
        reason = not_ready(admin)
    except (OSError, ValueError) as error:
        return _say(1, f"no answer from {admin}: {error}")
    return _say(0, "ready") if reason is None else _say(1, reason)


def admin_address() -> str:
    """Return the admin address of this environment, or `off`.

    Raises:
        OSError: the file that has it cannot be used.
    """
    path = os.environ.get("AMBASSADOR_ADMIN_FILE", "").strip()  # noqa: TID251 - a command without the command line
    if path:
        return _content(path) or DEFAULT_ADMIN
    return os.environ.get("AMBASSADOR_ADMIN", "").strip() or DEFAULT_ADMIN  # noqa: TID251 - as above


def _content(path: str) -> str:
    """Read a file as the configuration does (environment.py), which has more to say of it."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST_FILE:
        raise OSError(errno.EINVAL, "Not a regular file, or too large")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except UnicodeDecodeError:
        raise OSError(errno.EINVAL, "Not a text") from None


def not_ready(admin: str, *, timeout: float = TIMEOUT) -> str | None:
    """Say in one line why the ambassador at *admin* is not ready; None when it is. Raises what `ask` does."""
    status, body = ask(admin, "/readyz", timeout=timeout)
    if status == 200:
        return None if body == "ready" else "not ready: what answers is no ambassador"
    return body.partition("\n")[0] or f"not ready: HTTP status {status}"


def ask(admin: str, path: str, *, timeout: float = TIMEOUT) -> tuple[int, str]:
    """Return the status and the body of GET *path*.

    Raises:
        OSError: nobody answers there in time.
        ValueError: what answers is no HTTP server, or *admin* is no address.
    """
    deadline = time.monotonic() + timeout
    host, _, port = admin.rpartition(":")
    host = host.strip("[]")
    if not host.strip("*0.:"):  # every address; what listens on :: hears IPv4 too, while ::1 may not exist
        host = "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while chunk := _receive(sock, deadline):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("the answer is not HTTP")
    return int(words[1]), body.decode("utf-8", "replace").strip()


def _receive(sock: socket.socket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(left)
    return sock.recv(65536)


def _say(code: int, text: str) -> int:
    sys.stdout.write(text + "\n")
    return code
