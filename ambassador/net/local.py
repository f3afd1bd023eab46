"""Which addresses are this machine's own, so that an ambassador does not dial itself without end."""

from __future__ import annotations

import functools
import socket
import struct
import time
from pathlib import Path

# Seconds for which an answer is kept: addresses come and go with the networks that a container joins or leaves.
_CACHE_SECONDS = 5.0
# The most answers kept at once; when it is full all are forgotten and asked again, so memory stays bounded.
_CACHE_SIZE = 1024

# linux/netlink.h, linux/rtnetlink.h.
_NLMSGHDR = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTATTR = struct.Struct("=HH")
_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST, _RTA_DST, _RTN_LOCAL = 24, 26, 1, 1, 2
# The kernel answers within the call; this is only so that nothing could ever wait for it.
_ANSWER_SECONDS = 0.1


@functools.cache
def first_ephemeral_port() -> int:
    """Return the lowest port that the kernel picks by itself (ip_local_port_range, ip(7)), as of the first call.

    A dial of a lower port cannot be given that very port as its own, and so cannot connect to itself.
    """
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 1024  # unprivileged ports: as low as anybody sets it


class LocalAddresses:
    """Tell whether an address belongs to this machine, or to this container's network namespace."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, float]] = {}

    def has(self, address: str) -> bool:
        """Tell whether *address*, an IPv4 or IPv6 address, is one of this machine's own.

        The unspecified addresses are, too. Answers are up to five seconds old. Blocks for a tenth of a second at most.
        """
        now = time.monotonic()
        known = self._known.get(address)
        if known is not None and now - known[1] < _CACHE_SECONDS:
            return known[0]
        if len(self._known) >= _CACHE_SIZE:
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
