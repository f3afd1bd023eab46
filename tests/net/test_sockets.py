"""Sockets that listen and that dial."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from ambassador.errors import StartError
from ambassador.net import sockets
from ambassador.net.address import Address
from tests.support.net import LOCAL, free_port, pair, reset
from tests.support.prelude import altered


def refusing(error_number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel refuse every socket of IPv6, which it does by this errno where it does without."""

    def make(family: int, *arguments: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(error_number, "refused")
        return socket.socket(family, *arguments)

    monkeypatch.setattr(sockets, "socket", altered(socket, socket=make))


@pytest.mark.parametrize("error_number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_every_address_is_every_one_of_ipv4(error_number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does without IPv6, an address without a host listens on all of IPv4."""
    refusing(error_number, monkeypatch)
    port = free_port()
    with sockets.bind(Address("", port), keepalive=0) as listening:
        assert listening.getsockname() == ("0.0.0.0", port)
        socket.create_connection((LOCAL, port)).close()


def test_what_is_wrong_with_ipv6_otherwise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When descriptors have run out nobody falls back to half of the addresses."""
    refusing(errno.EMFILE, monkeypatch)
    with pytest.raises(StartError, match=r"^cannot listen on \*:80 \(WEB\): Too many open files$"):
        sockets.bind(Address("", 80), keepalive=0, source="WEB")


def test_a_connection_that_is_gone_has_not_met_itself() -> None:
    """A dial that was reset before it is asked for its peer has none, and is left to its event."""
    ours, theirs = pair()
    with ours:
        reset(theirs)
        ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert not sockets.met_itself(ours)
