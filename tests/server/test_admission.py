"""Who the client is: the PROXY protocol, with and without a tunnel."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Literal

import pytest
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from tests.support.cases import quick
from tests.support.net import connect, exactly, final_error, free_port, reset
from tests.support.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Launch
    from tests.support.process import Ambassador
    from tests.support.tunnels import Join

ORACLES = {"v1": ProxyProtocolV1(), "v2": ProxyProtocolV2()}
Version = Literal["v1", "v2"]
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
LOCAL_NET = "127.0.0.0/8"


def read_header(sock: socket.socket, version: Version) -> Any:
    """Read one header off a connection and have the library proxy-protocol understand it."""
    if version == "v1":
        line = b""
        while not line.endswith(b"\r\n"):
            line += exactly(sock, 1)
        return ORACLES[version].unpack(line)
    head = exactly(sock, 16)
    return ORACLES[version].unpack(head + exactly(sock, int.from_bytes(head[14:], "big")))


def header(version: Version, source: str = "192.0.2.7", destination: str = "198.51.100.1") -> bytes:
    """Have the library proxy-protocol write a header, from port 50000 to port 6379."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    kind = ProxyResultIPv4 if one.version == 4 else ProxyResultIPv6
    return bytes(ORACLES[version].pack(kind((one, 50000), (other, 6379), protocol=socket.SOCK_STREAM)))  # type: ignore[arg-type]  # one of both


@pytest.fixture
def upstream() -> Iterator[Server]:
    """Start an upstream that the test itself reads from."""
    with Server() as server:
        yield server


# -- sent ------------------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_upstream_is_told_the_client(
    ambassador: Launch, upstream: Server, version: Version, host: str, loop_name: str
) -> None:
    """The first thing an upstream reads is where the client came from and what it dialled, then the client's bytes."""
    proxy = ambassador(upstream.port, settings={"PROXY_PROTOCOL": version, "BIND": host}, loop=loop_name)
    with connect(proxy.port, host) as client:
        client.sendall(b"question")
        with upstream.client() as server:
            told = read_header(server, version)
            assert (str(told.source[0]), told.source[1]) == client.getsockname()[:2]
            assert (str(told.dest[0]), told.dest[1]) == (host, proxy.port)
            assert exactly(server, 8) == b"question"
            server.sendall(b"answer")
        assert exactly(client, 6) == b"answer"
    (line,) = proxy.closed()
    assert (line["bytes_up"], line["bytes_down"]) == (8, 6)


@VERSIONS
def test_a_server_that_speaks_first_is_told_first(ambassador: Launch, upstream: Server, version: Version) -> None:
    """The header does not wait for the client's first byte."""
    proxy = ambassador(upstream.port, settings={"PROXY_PROTOCOL": version})
    with proxy.connect() as client, upstream.client() as server:
        assert read_header(server, version).source[1] == client.getsockname()[1]


@VERSIONS
def test_an_ipv4_client_of_a_dual_listener_is_ipv4(ambassador: Launch, upstream: Server, version: Version) -> None:
    """A client that an IPv6 socket accepted as ::ffff:127.0.0.1 is told, and logged, as 127.0.0.1."""
    port = free_port()
    proxy = ambassador(
        settings={"PROXY_PROTOCOL": version, "ROUTES": f"[::]:{port}=127.0.0.1:{upstream.port}", "ALLOW": "127.0.0.1"}
    )
    with connect(port) as client, upstream.client() as server:
        told = read_header(server, version)
        assert (str(told.source[0]), told.source[1]) == client.getsockname()
        assert str(told.dest[0]) == "127.0.0.1"
        name = f"127.0.0.1:{client.getsockname()[1]}"
    assert [line["client"] for line in proxy.closed()] == [name]


# -- accepted --------------------------------------------------------------------------------------------------------


def trusting(ambassador: Launch, upstream: Server, **settings: str) -> Ambassador:
    """Start an ambassador that trusts the headers of this machine."""
    return ambassador(upstream.port, settings={"PROXY_PROTOCOL_FROM": LOCAL_NET, **settings})


@VERSIONS
@pytest.mark.parametrize("passed_on", ["v1", "v2"])
@pytest.mark.parametrize("source", quick(1, ["192.0.2.7", "2001:db8::7"]))
def test_a_trusted_header_names_the_client(
    ambassador: Launch, upstream: Server, version: Version, passed_on: Version, source: str
) -> None:
    """The address of a trusted header is in the access log, and in the header that is sent on; no byte of it leaks."""
    proxy = trusting(ambassador, upstream, PROXY_PROTOCOL=passed_on)
    destination = "198.51.100.1" if "." in source else "2001:db8::1"
    with proxy.connect() as client:
        client.sendall(header(version, source, destination) + b"question")
        with upstream.client() as server:
            told = read_header(server, passed_on)
            assert (str(told.source[0]), told.source[1]) == (source, 50000)
            assert (str(told.dest[0]), told.dest[1]) == (destination, 6379)
            assert exactly(server, 8) == b"question"
    (line,) = proxy.closed()
    assert line["client"] == (f"{source}:50000" if "." in source else f"[{source}]:50000")
    assert line["bytes_up"] == 8


@VERSIONS
def test_a_header_may_come_byte_by_byte(ambassador: Launch, upstream: Server, version: Version) -> None:
    """A header in many segments is one header, and nothing is dialled before it is whole."""
    proxy = trusting(ambassador, upstream)
    with proxy.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = header(version)
        for number in range(len(whole) - 1):
            client.sendall(whole[number : number + 1])
        assert not upstream.accepted
        client.sendall(whole[-1:] + b"rest")
        assert exactly(upstream.client(), 4) == b"rest"


@pytest.mark.parametrize(
    "nobody", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ORACLES["v2"].pack(ProxyResultLocal())]
)
def test_a_header_without_a_client_keeps_the_sockets_address(
    ambassador: Launch, upstream: Server, nobody: bytes
) -> None:
    """LOCAL and UNKNOWN, as health checks send them, leave the connection's own address in the log and the header."""
    proxy = trusting(ambassador, upstream, PROXY_PROTOCOL="v2")
    with proxy.connect() as client:
        name = "{}:{}".format(*client.getsockname())
        client.sendall(nobody + b"question")
        with upstream.client() as server:
            assert read_header(server, "v2").source[1] == client.getsockname()[1]
            assert exactly(server, 8) == b"question"
    assert proxy.closed()[0]["client"] == name


def refused(proxy: Ambassador, upstream: Server, client: socket.socket) -> str:
    """Make sure that a client was reset for its header, and nothing dialled for it; return the reason in the log."""
    assert final_error(client) is ConnectionResetError
    (line,) = proxy.closed()
    assert (line["end"], line["upstream"], line["bytes_up"]) == ("bad_proxy_header", "", 0)
    assert not upstream.accepted
    return str(line["error"])


@pytest.mark.parametrize(
    "instead",
    [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 192.0.2.7\r\n", b"PROXY " + b"x" * 200, header("v2")[:13] + b"9"],
)
def test_a_trusted_peer_has_to_send_a_header(ambassador: Launch, upstream: Server, instead: bytes) -> None:
    """Something else where a header is required is an end of its own, and the upstream is not dialled."""
    proxy = trusting(ambassador, upstream)
    with proxy.connect() as client:
        client.sendall(instead + bytes(20))
        assert refused(proxy, upstream, client)


@pytest.mark.parametrize("part", [0, 1, 11, 27])
def test_a_header_has_a_deadline(ambassador: Launch, upstream: Server, part: int) -> None:
    """Whoever does not send a header, or not all of it, is reset when CONNECT_TIMEOUT is over."""
    proxy = trusting(ambassador, upstream, CONNECT_TIMEOUT="500ms")
    with proxy.connect() as client:
        client.sendall(header("v2")[:part])
        assert refused(proxy, upstream, client) == "not done in time"


def test_an_end_within_the_header_is_told(ambassador: Launch, upstream: Server) -> None:
    """A client that ends its stream within the header is reset at once."""
    proxy = trusting(ambassador, upstream, CONNECT_TIMEOUT="60s")
    with proxy.connect() as client:
        client.sendall(header("v1")[:20])
        client.shutdown(socket.SHUT_WR)
        assert refused(proxy, upstream, client) == "the connection ended within the header"


@VERSIONS
def test_an_untrusted_header_is_but_payload(ambassador: Launch, upstream: Server, version: Version) -> None:
    """What looks like a header is passed on like any bytes where its sender is not trusted, and names nobody."""
    proxy = ambassador(upstream.port, settings={"PROXY_PROTOCOL_FROM": "192.0.2.0/24"})
    with proxy.connect() as client:
        name = "{}:{}".format(*client.getsockname())
        client.sendall(header(version))
        with upstream.client() as server:
            assert exactly(server, len(header(version))) == header(version)
    assert proxy.closed()[0]["client"] == name


@VERSIONS
def test_a_reset_right_behind_the_header_leaves_nothing(ambassador: Launch, upstream: Server, version: Version) -> None:
    """A client that is gone as soon as it has named itself is accounted for, and its upstream is not kept waiting."""
    proxy = trusting(ambassador, upstream)
    for _ in range(20):
        client = proxy.connect()
        client.sendall(header(version) + b"question")
        reset(client)
    lines = proxy.closed(20)
    assert {line["end"] for line in lines} <= {"client_gone", "client_reset", "bad_proxy_header"}
    for server in list(upstream.accepted):
        with server:
            assert final_error(server) is ConnectionResetError


# -- through a tunnel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passed_on", ["off", "v1", "v2"])
def test_the_clients_address_survives_a_tunnel(join: Join, passed_on: Version | Literal["off"], loop_name: str) -> None:
    """The source names the target's client in its log, and to the upstream if it is told to; the wire shows nobody."""
    pair = join(
        None, loop=loop_name, target={"PROXY_PROTOCOL": "v2"},
        source={"PROXY_PROTOCOL_FROM": LOCAL_NET, "PROXY_PROTOCOL": passed_on},
    )  # fmt: skip
    with pair.connect() as client:
        name = "{}:{}".format(*client.getsockname())
        client.sendall(b"question")
        with pair.upstream.client() as server:
            if passed_on != "off":
                told = read_header(server, passed_on)
                assert (str(told.source[0]), told.source[1]) == client.getsockname()
                assert told.dest[1] == pair.target.port
            assert exactly(server, 8) == b"question"
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
            server.sendall(b"answer")
        assert exactly(client, 6) == b"answer"
    assert [process.closed()[0]["client"] for process in (pair.target, pair.source)] == [name, name]
    assert [process.closed()[0]["bytes_up"] for process in (pair.target, pair.source)] == [8, 8]
    assert header("v2")[:12] not in pair.wire.up.passed


def test_a_header_outside_the_tunnel_is_refused(join: Join) -> None:
    """A source reads a header inside the tunnel only: one in the clear is no way around the handshake."""
    pair = join(source={"PROXY_PROTOCOL_FROM": LOCAL_NET})
    with pair.source.connect() as client:
        client.sendall(header("v2") + b"question")
        assert final_error(client) is ConnectionResetError
    assert pair.source.closed()[0]["end"] == "handshake_failed"
    assert not pair.upstream.accepted


def test_a_tunnel_without_the_header_that_it_needs_is_refused(join: Join) -> None:
    """A source that requires a header of its targets resets one that does not send it, and dials nothing."""
    pair = join(source={"PROXY_PROTOCOL_FROM": LOCAL_NET})
    with pair.connect() as client:
        client.sendall(b"question without a header")
        assert final_error(client) is ConnectionResetError
    assert pair.source.closed()[0]["end"] == "bad_proxy_header"
    assert pair.target.closed()[0]["end"] == "upstream_reset"
    assert not pair.upstream.accepted
