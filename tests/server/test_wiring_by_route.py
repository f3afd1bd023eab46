"""Routes of one process that differ in their settings."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.net import connect, exactly, final_error, free_port, read_to_end
from tests.support.proofs import needs_keys
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Launch, Serve
    from tests.support.proofs import Authority, KeyFile


def answers(port: int) -> bool:
    """Tell whether an echo server is behind *port*; a reset says no."""
    try:
        with connect(port) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            return read_to_end(client) == b"hello"
    except OSError:  # a reset, which shutdown() calls not connected
        return False


@needs_keys
def test_both_ends_of_tunnels_in_one_process(ambassador: Launch, serve: Serve, key_file: KeyFile) -> None:
    """One route takes tunnels, another dials through one, and a third is in the clear."""
    server = serve(echo)
    files = {"TUNNEL_KEY_FILE": str(key_file.path)}
    far = ambassador(server.port, settings={**files, "TUNNEL": "source"})
    ports = {alias: free_port() for alias in ("IN", "OUT", "PLAIN")}
    upstreams = {"IN": server.port, "OUT": far.port, "PLAIN": server.port}
    middle = ambassador(
        settings={**files, "TUNNEL": "in=source out=target"},
        links={f"{alias}_PORT_{port}_TCP": f"tcp://127.0.0.1:{upstreams[alias]}" for alias, port in ports.items()},
    )
    near = ambassador(ports["IN"], settings={**files, "TUNNEL": "target"})

    assert answers(near.port)
    assert answers(ports["OUT"])
    assert answers(ports["PLAIN"])
    assert not answers(ports["IN"])
    assert not answers(far.port)
    assert middle.wait_for("connection.closed", route=f"in:{ports['IN']}", end="handshake_failed")


def test_peers_of_one_route(ambassador: Launch, serve: Serve, authority: Authority) -> None:
    """A certificate that one route's peers are named by does not enter where another name is asked for."""
    server = serve(echo)
    settings = authority.settings("source", "source.example", "127.0.0.1")
    ports = {"ANY": free_port(), "ONE": free_port()}
    ambassador(
        settings={**settings, "TUNNEL_PEERS": "one=other.example"},
        links={f"{alias}_PORT_{port}_TCP": f"tcp://127.0.0.1:{server.port}" for alias, port in ports.items()},
    )
    near = ambassador(ports["ANY"], ports["ONE"], settings=authority.settings("target", "near.example"))

    assert answers(near.ports[0])
    assert not answers(near.ports[1])


def test_each_route_by_its_own_settings(ambassador: Launch, serve: Serve) -> None:
    """Networks, headers, timeouts and access log hold for the route that an exception names, and for no other."""
    echoing, holding = serve(echo), serve(hold)
    names = ("OPEN", "SHUT", "HEADER", "IDLE", "QUIET", "SLOW", "FAST")
    ports = {alias: free_port() for alias in names}
    upstreams = dict.fromkeys(names, echoing.port) | {"IDLE": holding.port, "SLOW": free_port(), "FAST": free_port()}
    running = ambassador(
        settings={
            "ALLOW": "all shut=10.0.0.0/8", "PROXY_PROTOCOL": "header:*=v1", "IDLE_TIMEOUT": "idle=100ms",
            "ACCESS_LOG": "on quiet=off", "CONNECT_TIMEOUT": "60s fast=100ms",
        },
        links={f"{alias}_PORT_{port}_TCP": f"tcp://127.0.0.1:{upstreams[alias]}" for alias, port in ports.items()},
    )  # fmt: skip

    assert answers(ports["OPEN"])
    assert not answers(ports["SHUT"])
    assert answers(ports["QUIET"])
    with connect(ports["HEADER"]) as client:
        assert exactly(client, 6) == b"PROXY "
    with contextlib.ExitStack() as stack:
        slow, idle, fast = (stack.enter_context(connect(ports[alias])) for alias in ("SLOW", "IDLE", "FAST"))
        assert final_error(idle) is ConnectionResetError
        assert final_error(fast) is ConnectionResetError
        slow.setblocking(False)  # noqa: FBT003 - the name of it
        with pytest.raises(BlockingIOError):
            slow.recv(1)

    ends = {line["route"].partition(":")[0]: line["end"] for line in running.closed(5)}
    assert ends["shut"] == "not_allowed"
    assert ends["idle"] == "idle_timeout"
    assert ends["fast"] == "connect_refused"
    assert "quiet" not in ends


def test_a_problem_with_files_of_both_roles_is_told_once(ambassador: Launch, tmp_path: Path) -> None:
    """Both ends of a tunnel have the same files, whose fault is one line."""
    missing = tmp_path / "none"
    settings = {f"TUNNEL_{name}_FILE": str(missing) for name in ("CERT", "PRIVATE_KEY", "CA")}
    running = ambassador(9, 9, settings={**settings, "TUNNEL": "source up=target", "TUNNEL_PEERS": "up=x"}, wait=False)

    assert running.exit_code() == 2
    assert [line.partition("=")[0] for line in running.lines] == [
        f"ambassador: AMBASSADOR_TUNNEL_{name}_FILE" for name in ("CERT", "PRIVATE_KEY", "CA")
    ]
