"""What tests of new keys do: change a file and have it read again, and see who gets in."""

from __future__ import annotations

import signal
import ssl
from typing import TYPE_CHECKING

from tests.support.net import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.process import Ambassador


def reload(process: Ambassador, change: Callable[[], object], *, event: str = "tunnel.reloaded") -> None:
    """Change a file, tell the process by SIGHUP, and wait until it says what it thinks of it."""
    count = len(process.named(event))
    change()
    process.signal(signal.SIGHUP)
    process.wait_for(event, count + 1)


def enters(port: int, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None) -> bool:
    """Tell whether a client is served."""
    try:
        with connect(port) as raw, context.wrap_socket(raw, session=session) as client:
            client.sendall(b"hello")
            return client.recv(5) == b"hello"
    except (ssl.SSLError, ConnectionError):
        return False
