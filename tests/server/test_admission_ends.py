"""Tunnels that end before their PROXY header is whole."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.tunnels import Join

LOCAL_NET = "127.0.0.0/8"
CUT_SHORT = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 6379"  # without the end of its line


@pytest.mark.parametrize("orderly", [True, False], ids=["ended", "cut"])
def test_an_end_within_the_header_of_a_tunnel_is_told(join: Join, *, orderly: bool) -> None:
    """A tunnel that ends before its header is whole is refused, whether or not it says that it ends."""
    pair = join(source={"PROXY_PROTOCOL_FROM": LOCAL_NET})
    with pair.proofs.client.wrap_socket(pair.source.connect()) as client:
        client.sendall(CUT_SHORT)
        if orderly:
            with contextlib.suppress(OSError):  # after its own end it waits for the other's, and is reset
                client.unwrap()
        else:
            client.shutdown(socket.SHUT_WR)
        (line,) = pair.source.closed()
    assert (line["end"], line["error"]) == ("bad_proxy_header", "the connection ended within the header")
    assert not pair.upstream.accepted


def test_an_end_that_comes_along_with_the_handshakes_is_told(join: Join) -> None:
    """A tunnel that ends in the very segment that proves it is refused then, and not when its time is up."""
    pair = join(source={"PROXY_PROTOCOL_FROM": LOCAL_NET, "CONNECT_TIMEOUT": "1h"})
    came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pair.proofs.client.wrap_bio(came, going)
    with pair.source.connect() as raw:
        shaken = False
        while not shaken:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                shaken = True
            if not shaken:
                raw.sendall(going.read())
                came.write(raw.recv(1 << 16))
        client.write(CUT_SHORT)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        raw.sendall(going.read())
        (line,) = pair.source.closed()
    assert (line["end"], line["error"]) == ("bad_proxy_header", "the connection ended within the header")
