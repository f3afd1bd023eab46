"""`ambassador healthcheck`: ask the running ambassador whether it is ready.

Docker runs this every few seconds, in a process of its own each time, so it imports next to nothing: no pydantic, no
uvloop, no aiohttp, and not even http.client.
"""

from __future__ import annotations

import os
import socket
import sys

DEFAULT_ADMIN = "127.0.0.1:9901"
# An ambassador that needs longer than this to say that it is ready is not.
TIMEOUT = 3.0
_EVERYWHERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def main() -> int:
    """Print one line on how the ambassador is; return 0 when it is ready, else 1."""
    try:
        admin = admin_address()
    except OSError as error:
        return _say(1, f"cannot read AMBASSADOR_ADMIN_FILE: {error.strerror}")
    if admin.lower() == "off":
        return _say(0, "AMBASSADOR_ADMIN=off: there is nothing to ask")
    try:
        status, body = ask(admin, "/readyz")
    except (OSError, ValueError) as error:
        return _say(1, f"no answer from {admin}: {error}")
    return _say(0 if status == 200 else 1, body)


def admin_address() -> str:
    """Return the admin address of this environment, or `off`."""
    path = os.environ.get("AMBASSADOR_ADMIN_FILE")  # noqa: TID251 - a command of its own, without the command line
    if path:
        with open(path, encoding="utf-8") as file:
            return file.read().strip() or DEFAULT_ADMIN
    return os.environ.get("AMBASSADOR_ADMIN", "").strip() or DEFAULT_ADMIN  # noqa: TID251 - as above


def ask(admin: str, path: str) -> tuple[int, str]:
    """Return the status and the body of GET *path*.

    Raises:
        OSError: nobody answers there in time.
        ValueError: what answers is no HTTP server, or *admin* is no address.
    """
    host, _, port = admin.rpartition(":")
    host = host.strip("[]")
    with socket.create_connection((_EVERYWHERE.get(host, host), int(port)), TIMEOUT) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("the answer is not HTTP")
    return int(words[1]), body.decode("utf-8", "replace").strip()


def _say(code: int, text: str) -> int:
    sys.stdout.write(text + "\n")
    return code
