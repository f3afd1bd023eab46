"""The endings that need a fault: a peer that vanishes, and a system call that fails where the relay cannot go on."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from tests.support.admin import Admin, route_of
from tests.support.deadline import eventually
from tests.support.net import connect, exactly, final_error, free_port
from tests.support.process import Ambassador
from tests.support.servers import echo
from tests.support.wire import wire

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.process import Event
    from tests.support.watch import Watch

# Enough that as a rule each of two workers has some.
CLIENTS = 12
SENT = 5000
# From here on the kernel, as some sandboxes do, does not tell this process and its children what is left to send
# (SIOCOUTQ, tcp(7)): ioctl with 0x5411 is answered by EIO, everything else goes through (seccomp(2), bpf(2)).
NO_SIOCOUTQ = """
import ctypes, platform, struct
ioctl = {"x86_64": 16, "aarch64": 29}[platform.machine()]
steps = [
    (0x20, 0, 0, 0), (0x15, 0, 3, ioctl),  # the system call's number
    (0x20, 0, 0, 24), (0x15, 0, 1, 0x5411),  # its second argument
    (0x06, 0, 0, 0x50000 | 5), (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)), 0, 0) == 0  # PR_SET_SECCOMP
"""


def counted(admin: Admin, end: str, *, up: int, down: int) -> list[Event]:
    """Check that all connections came to *end*, with so many bytes each, in the metrics as in the log; return that."""
    admin.ended(end, CLIENTS)
    route = route_of(admin)
    assert admin.metric("ambassador_connections_total", route=route, end=end) == CLIENTS
    assert admin.metric("ambassador_connections_active", route=route) == 0
    assert sum(admin.route()["ends"].values()) == CLIENTS
    assert admin.metric("ambassador_bytes_total", route=route, direction="up") == CLIENTS * up
    assert admin.metric("ambassador_bytes_total", route=route, direction="down") == CLIENTS * down
    lines = admin.ambassador.closed(CLIENTS)
    told = [(line["end"], line["bytes_up"], line["bytes_down"]) for line in lines]
    assert told == [(end, up, down)] * CLIENTS
    return lines


def test_peers_that_vanish_are_counted(workers: dict[str, str]) -> None:
    """Connections whose upstream answers no packet any more are reset as `peer_dead`, with every byte to and fro."""
    with wire() as net, contextlib.ExitStack() as stack:
        upstream = stack.enter_context(socket.create_server((net.here, 0)))
        port, admin_port = upstream.getsockname()[1], free_port()
        # The kernel gives a peer up after 15 retransmits, which take a quarter of an hour (tcp(7)): here after one.
        net.inside("sysctl", "-qw", "net.ipv4.tcp_retries2=1")
        settings = {"BIND": net.there, "ADMIN": f"{net.there}:{admin_port}", **workers}
        running = Ambassador(
            [f"tcp://{net.here}:{port}"], settings, loop="uvloop", files=None, prelude="", arguments=(), links={},
            prefix=net.prefix,
        )  # fmt: skip
        stack.callback(running.close)
        running.ready()
        admin = Admin(running, admin_port, net.there)
        eventually(lambda: admin.ask("/livez").status == 200)
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(connect(running.port, net.there))
            served = stack.enter_context(upstream.accept()[0])
            client.sendall(bytes(SENT))
            exactly(served, SENT)
            served.sendall(b"y")
            exactly(client, 1)
            clients.append(client)

        net.inside("iptables", "-I", "INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")
        for client in clients:
            client.sendall(b"nobody acknowledges this")

        assert [final_error(client) for client in clients] == [ConnectionResetError] * CLIENTS
        counted(admin, "peer_dead", up=SENT + 24, down=1)


def test_faults_of_ours_are_counted_and_end_their_connections_only(
    watch: Watch, serve: Serve, workers: dict[str, str]
) -> None:
    """A connection that meets an unforeseen error ends as `failed`, which tells the error; the next one is served."""
    settings = {"LOG_LEVEL": "debug", **workers}
    admin = watch(serve(echo).port, settings=settings, prelude=NO_SIOCOUTQ)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(admin.ambassador.connect()) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(bytes(SENT))
            exactly(client, SENT)

        for client in clients:
            client.shutdown(socket.SHUT_WR)
            final_error(client)  # both ends of stream went on before: too late for a reset

    lines = counted(admin, "failed", up=SENT, down=SENT)
    assert {line["error"] for line in lines} == {"OSError: [Errno 5] Input/output error"}
    told = admin.ambassador.wait_for("connection.failed", CLIENTS)
    assert {event["id"] for event in told} == {line["id"] for line in lines}
    assert all("Traceback" in event["traceback"] for event in told)
    with admin.ambassador.connect() as client:  # so few bytes that nobody asks what is left
        client.sendall(b"x")
        exactly(client, 1)
    admin.ended("closed")
    assert admin.ambassador.lines == []
