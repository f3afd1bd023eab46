"""Which addresses are this machine's own, so that an ambassador does not dial itself without end."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

# Addresses come and go with networks that a container joins or leaves.
_BELIEVED_FOR = 5.0
_REMEMBERED = 1024

# linux/netlink.h, linux/rtnetlink.h.
_NLMSGHDR = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTATTR = struct.Struct("=HH")
_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST, _RTA_DST, _RTN_LOCAL = 24, 26, 1, 1, 2
# The kernel answers within the call; this is only so that nothing could ever wait for it.
_ANSWER_SECONDS = 0.1


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
    """Ask the kernel: bind(2) takes only addresses of this machine (EADDRNOTAVAIL otherwise), mostly."""
    if address in {"0.0.0.0", "::"}:
        return True  # ip(7): connecting to the unspecified address reaches this machine
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return _routed_here(family, address)


def _routed_here(family: int, address: str) -> bool:
    """Ask for the route to an address (rtnetlink(7)): with ip_nonlocal_bind (ip(7)), bind() takes any."""
    try:
        destination = socket.inet_pton(family, address)
        attribute = _RTATTR.pack(_RTATTR.size + len(destination), _RTA_DST) + destination
        request = _RTMSG.pack(family, 8 * len(destination), 0, 0, 0, 0, 0, 0, 0) + attribute
        header = _NLMSGHDR.pack(_NLMSGHDR.size + len(request), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as routes:
            routes.settimeout(_ANSWER_SECONDS)
            routes.send(header + request)
            answer = routes.recv(4096)
        _, kind, *_ = _NLMSGHDR.unpack_from(answer)
        *_, route, _ = _RTMSG.unpack_from(answer, _NLMSGHDR.size)
    except (OSError, struct.error):
        return True  # a scoped address, or a sandbox without netlink: bind() has the last word
    return bool(kind == _RTM_NEWROUTE and route == _RTN_LOCAL)
