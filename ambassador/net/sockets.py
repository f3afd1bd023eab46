"""Make TCP sockets as a relay needs them: to listen, and to dial."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

from ambassador.errors import StartError
from ambassador.net.address import listen_text
from ambassador.net.tcp import bound_backoff, set_keepalive

if TYPE_CHECKING:
    from ambassador.net.address import Address

# The kernel cuts this down to net.core.somaxconn.
BACKLOG = 4096
# A filter for incoming segments (socket(7), linux/filter.h): load byte 13 of the TCP header; if its SYN flag is set
# (RFC 9293, section 3.1) take none of it, else all.
_SO_ATTACH_FILTER = 26
_INSTRUCTION = 8
_NO_SYN = struct.pack("=" + 4 * "HBBI", 0x30, 0, 0, 13, 0x45, 0, 1, 0x02, 0x06, 0, 0, 0, 0x06, 0, 0, 0xFFFFFFFF)
_PRIVILEGED = (
    "; run the container with --sysctl net.ipv4.ip_unprivileged_port_start=0 (with the host's network: set it on the "
    "host), or as root with the capability NET_BIND_SERVICE, or take another port: AMBASSADOR_ROUTES=PORT=HOST:PORT"
)
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


def bind(address: Address, *, keepalive: float, source: str = "") -> socket.socket:
    """Return a socket that listens on *address*; an empty host is every address, IPv4 and IPv6. The caller closes it.

    *keepalive* is the idle time in seconds before the kernel probes a peer, 0 for no probes; *source* is the variable
    that the address comes from, for the error. TCP_NODELAY, SO_OOBINLINE and keepalive are set here, since on Linux an
    accepted socket inherits them.

    Raises:
        StartError: the address is in use, not ours, or not allowed.
    """
    host = address.host
    try:
        if host:
            return _bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, address.port, keepalive)
        try:
            return _bound(socket.AF_INET6, "::", address.port, keepalive)
        except OSError as error:
            if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                raise
            return _bound(socket.AF_INET, "0.0.0.0", address.port, keepalive)
    except OSError as error:
        of = f" ({source})" if source else ""
        wrong = f"cannot listen on {listen_text(address)}{of}: {os.strerror(error.errno or 0)}"
        remedy = _PRIVILEGED if error.errno == errno.EACCES and address.port < _first_unprivileged_port() else ""
        raise StartError(wrong + remedy) from error


def _first_unprivileged_port() -> int:
    """Return the first port that everybody may listen on (ip(7), ip_unprivileged_port_start)."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def _bound(family: int, host: str, port: int, keepalive: float) -> socket.socket:
    sock = socket.socket(family, _STREAM)
    try:
        # Without it a restart would have to wait for the TIME_WAIT of the last connections (socket(7)).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # An urgent byte (RFC 6093) stays in its place: apart from the stream, a read that begins at it would lose it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        bound_backoff(sock)
        if keepalive:
            set_keepalive(sock, keepalive)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def ignore_newcomers(sock: socket.socket) -> None:
    """Have the kernel drop every SYN to a listening socket.

    The close that follows would otherwise reset whoever connects after the last accept. A client whose SYN is dropped
    sends it again a second later (RFC 6298), and is refused by then. Where the kernel takes no filter, a gap of a few
    microseconds stays.
    """
    code = array.array("B", _NO_SYN)
    address, size = code.buffer_info()
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", size // _INSTRUCTION, address))


def somebody_waits(sock: socket.socket) -> bool:
    """Tell whether a client is in the queue of a listening socket."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def dialling_socket(host: str) -> socket.SocketType:
    """Return a non-blocking socket that can connect to the IP address *host*. The caller closes it.

    Raises:
        OSError: descriptors or memory have run out, or the machine does not support this family.
    """
    # The base of socket.socket: what that adds, making files, costs Python code at each start and close.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.SocketType(family, _STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)  # as in `_bound`
    return sock


def met_itself(sock: socket.SocketType) -> bool:
    """Tell whether the kernel gave the socket the very port that it dials, so that TCP connected it to itself."""
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False  # reset already
