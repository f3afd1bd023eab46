"""Which addresses are this machine's own, so that an ambassador does not dial itself without end."""

from __future__ import annotations

import socket
import time
from pathlib import Path

# Addresses come and go with networks that a container joins or leaves.
_BELIEVED_FOR = 5.0
_REMEMBERED = 1024


def _first_ephemeral_port() -> int:
    """Return the lowest port that the kernel picks by itself (ip_local_port_range, ip(7))."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 1024  # unprivileged ports: as low as anybody sets it


# A dial of a lower port cannot be given that very port, and so cannot meet itself.
FIRST_EPHEMERAL_PORT = _first_ephemeral_port()


class LocalAddresses:
    """Tell whether an address belongs to this machine, or to this container's network namespace."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, float]] = {}

    def has(self, address: str) -> bool:
        """Tell whether *address*, IPv4 or IPv6, is one of this machine's own."""
        now = time.monotonic()
        known = self._known.get(address)
        if known is not None and now - known[1] < _BELIEVED_FOR:
            return known[0]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        local = _can_bind(address)
        self._known[address] = (local, now)
        return local


def _can_bind(address: str) -> bool:
    """Ask the kernel: bind(2) takes only addresses of this machine (EADDRNOTAVAIL otherwise)."""
    if address in {"0.0.0.0", "::"}:
        return True  # ip(7): connecting to the unspecified address reaches this machine
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
