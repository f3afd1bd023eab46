"""`ambassador healthcheck`: ask the running ambassador whether it is ready.

Docker runs this every few seconds, in a new process each time, so it imports next to nothing: no pydantic, no uvloop,
no aiohttp, and not even http.client.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from ambassador.net.printable import printable

DEFAULT_ADMIN = "127.0.0.1:9901"
# Seconds. An ambassador that takes longer than this to say that it is ready is not ready.
TIMEOUT = 3.0
# Bytes. Our own answer is a line.
_LARGEST = 64 * 1024
# How much is shown of an answer that is not HTTP, and of what else a server says, in characters.
_SHOWN = 20
_LONGEST = 200


def main() -> int:
    """Print one line on the state of the ambassador; return 0 if it is ready, else 1."""
    try:
        admin = admin_address()
    except OSError as error:
        return _say(1, f"cannot read AMBASSADOR_ADMIN_FILE: {error.strerror}")
    if admin.lower() == "off":
        return _say(0, "AMBASSADOR_ADMIN=off: there is nothing to ask")
    try:
        reason = not_ready(admin)
    except (OSError, ValueError) as error:
        return _say(1, f"no answer from {printable(admin, _LONGEST)}: {error}")
    return _say(0, "ready") if reason is None else _say(1, reason)


def admin_address() -> str:
    """Return the admin address of this environment, or `off`.

    Raises:
        OSError: AMBASSADOR_ADMIN_FILE cannot be read; the strerror says why.
    """
    path = os.environ.get("AMBASSADOR_ADMIN_FILE", "").strip()  # noqa: TID251 - a command without the command line
    if path:
        from ambassador.config.in_time import look_in_time

        return look_in_time([(path, False)], seconds=TIMEOUT)[0].text().strip() or DEFAULT_ADMIN
    return os.environ.get("AMBASSADOR_ADMIN", "").strip() or DEFAULT_ADMIN  # noqa: TID251 - as above


def not_ready(admin: str, *, timeout: float = TIMEOUT) -> str | None:
    """Say in one line why the ambassador at *admin* is not ready; None if it is.

    *timeout* is in seconds, for the whole exchange.

    Raises:
        OSError, ValueError: as `ask` does.
    """
    status, body = ask(admin, "/readyz", timeout=timeout)
    if status == 200:
        return None if body == "ready" else f"not ready: no ambassador at {admin}"
    return first_line(body) or f"not ready: HTTP status {status}"


def first_line(body: str) -> str:
    """Return what an answer says in its first line, of which whoever answers may have made anything."""
    return printable(body.partition("\n")[0].strip(), _LONGEST)


def ask(admin: str, path: str, *, timeout: float = TIMEOUT, largest: int = _LARGEST) -> tuple[int, str]:
    """Return the HTTP status and the body of GET *path*, asked of *admin* (ADDRESS:PORT) within *timeout* seconds.

    Raises:
        OSError: no connection, or no whole answer in time.
        ValueError: the answer is not HTTP, or larger than *largest* bytes, or *admin* is not an address.
    """
    deadline = time.monotonic() + timeout
    host, _, port = admin.rpartition(":")
    if not port.isdecimal():
        raise ValueError("expected ADDRESS:PORT")
    host = host.strip("[]")
    if not host.strip("*0.:"):  # every address: what listens on :: accepts IPv4, too, while ::1 may not exist
        host = "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = bytearray()
        while chunk := _receive(sock, deadline):
            answer += chunk
            if len(answer) > largest:
                raise ValueError(f"expected at most {largest >> 10} KiB, received more")
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    # A status has three digits (RFC 9112, section 4).
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or len(words[1]) != 3 or not words[1].isdigit():
        raise ValueError(f"expected an HTTP response, received {head[:_SHOWN].decode('latin-1')!a}")
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
