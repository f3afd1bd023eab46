"""The PROXY header that an upstream is sent, in the clear or as the first of a tunnel."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Literal

from ambassador.net.address import Address, unmapped
from ambassador.net.proxy_protocol import encode

if TYPE_CHECKING:
    import socket

    from ambassador.relay import Leg


def address_of(sock: socket.SocketType) -> Address:
    """Return the address at this end of a connected socket, which is the one that its client connected to."""
    host, port = sock.getsockname()[:2]
    return Address(unmapped(host), port)


def send_header(leg: Leg, version: Literal["v1", "v2"], source: Address, destination: Address) -> None:
    """Tell the upstream who the client is, before its first byte; an empty send queue takes it whole.

    A failure is noted at the leg, for the relay to find.
    """
    header = encode(version, source, destination)
    if leg.codec is not None:
        header = leg.codec.encrypt(memoryview(header))
    try:
        sent = leg.socket.send(header)
    except OSError as error:
        # send() has taken the socket's error: no event will tell of it, and a read would take it for an end.
        leg.error = leg.error or error.errno or errno.ECONNRESET
    else:
        if sent < len(header):  # nothing must follow half a header
            leg.error = leg.error or errno.ENOBUFS
