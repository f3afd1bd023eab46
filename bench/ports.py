"""Ports for one measurement: free ones, and when somebody answers on them."""

from __future__ import annotations

import random
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

LOOPBACK = "127.0.0.1"
# Below the range that Linux dials from (net.ipv4.ip_local_port_range starts at 32768), so that no outgoing connection
# takes a port between the moment we find it free and the moment a relay binds it; and below what the tests take.
LOWEST, HIGHEST = 10_000, 15_999
START_TIMEOUT = 10.0  # a relay that needs longer to listen will not come


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    while True:
        port = random.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def connect(port: int, *, timeout: float | None = None) -> socket.socket:
    """Connect to *port* of loopback, without Nagle's delay. The caller closes the socket."""
    sock = socket.create_connection((LOOPBACK, port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listens(port: int) -> bool:
    """Tell whether *port* accepts a connection."""
    try:
        connect(port, timeout=1).close()
    except OSError:
        return False
    return True


def wait_for_listener(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until *process* listens on *port*.

    Raises:
        RuntimeError: it ended instead, or took too long.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while not listens(port):
        if process.poll() is not None:
            raise RuntimeError(f"ended with code {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"does not listen after {START_TIMEOUT:.0f} s")
        time.sleep(0.005)
