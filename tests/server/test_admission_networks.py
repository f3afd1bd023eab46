"""Which networks may connect at all: ALLOW."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.cases import quick
from tests.support.net import connect, exactly, free_port, turned_away
from tests.support.process import command
from tests.support.servers import Server, echo, hold

if TYPE_CHECKING:
    from tests.conftest import Launch

LOCAL_NET = "127.0.0.0/8"


@pytest.mark.parametrize(
    ("allow", "host", "enters"),
    quick(
        3,
        [
            ("127.0.0.1", "127.0.0.1", True),
            ("10.0.0.0/8,127.0.0.0/8", "127.0.0.1", True),
            ("10.0.0.0/8", "127.0.0.1", False),
            ("::1", "::1", True),
            ("::1", "127.0.0.1", False),
            ("127.0.0.1", "::1", False),
            ("::ffff:127.0.0.0/104", "127.0.0.1", True),
            ("fd00::/8,::/127", "::1", True),
            ("0.0.0.0/0", "::1", False),
            ("::/0", "127.0.0.1", False),
        ],
    ),
)
def test_networks_that_are_allowed(ambassador: Launch, allow: str, host: str, enters: bool) -> None:  # noqa: FBT001
    """A dual-stack listener admits whom ALLOW names, IPv4 by its own name; others are reset at once, and counted."""
    port, admin = free_port(), free_port()
    with Server(echo) as upstream:
        proxy = ambassador(
            settings={
                "ROUTES": f"[::]:{port}=127.0.0.1:{upstream.port}", "ALLOW": allow, "ADMIN": f"127.0.0.1:{admin}",
            }
        )  # fmt: skip
        if enters:
            with connect(port, host) as client:
                client.sendall(b"hello")
                assert exactly(client, 5) == b"hello"
        else:
            assert turned_away(port, host)
        (line,) = proxy.closed()
        assert line["end"] == ("closed" if enters else "not_allowed")
        assert len(upstream.accepted) == enters
        assert metrics(admin).count(f'ambassador_connections_total{{end="not_allowed",route=":{port}"}} 1.0') == (
            not enters
        )


def metrics(port: int) -> str:
    """Return what the admin server counts."""
    with connect(port) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()


def test_allow_is_about_the_peer_and_not_its_header(ambassador: Launch) -> None:
    """A header cannot name its way in, nor is a peer turned away for whom it speaks."""
    with Server(hold) as upstream:
        outsider = ambassador(upstream.port, settings={"ALLOW": "192.0.2.0/24", "PROXY_PROTOCOL_FROM": LOCAL_NET})
        assert turned_away(outsider.port)
        assert outsider.closed()[0]["end"] == "not_allowed"

        insider = ambassador(upstream.port, settings={"ALLOW": LOCAL_NET, "PROXY_PROTOCOL_FROM": LOCAL_NET})
        with insider.connect() as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 6379\r\n")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        assert (insider.closed()[0]["end"], insider.closed()[0]["client"]) == ("closed", "192.0.2.7:50000")


def test_a_network_that_is_none_is_told() -> None:
    """A typing error in ALLOW is a configuration error, and never an open door."""
    code, _, errors = command("check", "6379=redis:6379", env={"AMBASSADOR_ALLOW": "10.0.0.0/33"})
    assert code == 2
    assert "AMBASSADOR_ALLOW" in errors
