"""Metrics of dials that fail and of clients that do not get through."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.admin import route_of
from tests.support.deadline import eventually
from tests.support.net import LOCAL, black_hole, final_error, free_port, reset
from tests.support.servers import echo
from tests.support.wire import run, wire

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.watch import Watch


def test_failed_dials_are_counted_by_their_reason(watch: Watch, workers: dict[str, str]) -> None:
    """A refusal, a name that nobody knows and a black hole each have an ending of their own."""
    with black_hole() as hole:
        settings = {"CONNECT_TIMEOUT": "300ms", **workers}
        admin = watch(free_port(), "tcp://nowhere.invalid:80", hole, settings=settings)
        for number, end in enumerate(("connect_refused", "connect_unresolved", "connect_timeout")):
            with admin.ambassador.connect(number) as client:
                assert final_error(client) is ConnectionResetError
            admin.ended(end, number=number)


def test_a_network_without_a_way_is_counted(watch: Watch, workers: dict[str, str]) -> None:
    """A dial to a network that this host has no way to ends as `connect_unreachable`, once for its client."""
    with wire() as net:
        lost = f"{net.there}/32"
        run("ip", "route", "add", "unreachable", lost)
        try:
            admin = watch(f"tcp://{net.there}:80", settings={"CONNECT_TIMEOUT": "300ms", **workers})
            with admin.ambassador.connect() as client:
                assert final_error(client) is ConnectionResetError
            admin.ended("connect_unreachable")
        finally:
            run("ip", "route", "delete", "unreachable", lost)
    assert admin.metric("ambassador_connections_total", route=route_of(admin), end="connect_unreachable") == 1
    assert [event["end"] for event in admin.ambassador.closed()] == ["connect_unreachable"]


def test_a_dial_to_itself_is_counted_as_failed(watch: Watch, workers: dict[str, str]) -> None:
    """An ambassador that is told to dial itself refuses to, under `connect_failed`."""
    port = free_port()
    admin = watch(free_port(), settings={"ROUTES": f"{LOCAL}:{port}=127.0.0.1:{port}", **workers})
    with socket.create_connection((LOCAL, port)) as client:
        assert final_error(client) is ConnectionResetError
    admin.ambassador.closed()
    ends = [route["ends"]["connect_failed"] for route in admin.json("/status")["routes"]]
    assert sum(ends) == 1


def test_a_client_that_leaves_while_dialling_is_counted(watch: Watch, workers: dict[str, str]) -> None:
    """A client that resets before there is a connection for it ends as `client_gone`."""
    admin = watch(free_port(), settings=workers)
    client = admin.ambassador.connect()
    eventually(lambda: admin.json("/connections")["total"])
    reset(client)
    admin.ended("client_gone")


def test_a_stranger_at_a_tunnel_is_counted(watch: Watch, serve: Serve, tmp_path: Path, workers: dict[str, str]) -> None:
    """A client that speaks no TLS to a source ambassador ends as `handshake_failed`, and nothing was dialled."""
    key = tmp_path / "cert.pem"
    authority = pytest.importorskip("trustme").CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(key))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "key.pem").chmod(0o600)
    server = serve(echo)
    admin = watch(
        server.port,
        settings={
            "TUNNEL": "source",
            "TUNNEL_CERT_FILE": str(key),
            "TUNNEL_PRIVATE_KEY_FILE": str(tmp_path / "key.pem"),
            "TUNNEL_CA_FILE": str(tmp_path / "ca.pem"),
            **workers,
        },
    )
    with admin.ambassador.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert final_error(client) is not None
    admin.ended("handshake_failed")
    assert server.accepted == []
