"""Every metric and every ending, provoked by real traffic and compared with what was sent, to the byte."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from ambassador.metrics import CONNECT_BOUNDS, CONNECTION_BOUNDS, End
from tests.support.admin import route_of
from tests.support.deadline import eventually
from tests.support.net import LOCAL, exactly, final_error, read_to_end, reset, turned_away
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Serve
    from tests.support.admin import Admin
    from tests.support.watch import Watch

SENT = 1_234_567


def test_bytes_and_connections_are_counted_exactly(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """Bytes are those that were sent, while connections live and after; connections are as many as there were."""

    def answer(client: socket.socket) -> None:
        exactly(client, SENT)
        client.sendall(b"y" * 1000)
        read_to_end(client)

    admin = watch(serve(answer).port, settings=workers)
    route = route_of(admin)
    clients = [admin.ambassador.connect() for _ in range(6)]
    for client in clients:
        client.sendall(b"x" * SENT)
        exactly(client, 1000)

    assert admin.metric("ambassador_bytes_total", route=route, direction="up") == 6 * SENT
    assert admin.metric("ambassador_bytes_total", route=route, direction="down") == 6000
    assert admin.metric("ambassador_connections_active", route=route) == 6
    for client in clients:
        client.close()
    admin.ended("closed", 6)
    metrics = admin.metrics()

    def value(name: str, **labels: str) -> float:
        return metrics[name, frozenset({"route": route, **labels}.items())]

    assert value("ambassador_bytes_total", direction="up") == 6 * SENT
    assert value("ambassador_bytes_total", direction="down") == 6000
    assert value("ambassador_connections_active") == 0
    assert {end: value("ambassador_connections_total", end=end) for end in End} == {
        **dict.fromkeys(End, 0.0), End.CLOSED: 6.0,
    }  # fmt: skip
    for name, bounds in (("connect", CONNECT_BOUNDS), ("connection", CONNECTION_BOUNDS)):
        counts = [value(f"ambassador_{name}_seconds_bucket", le=str(bound)) for bound in bounds]
        assert counts == sorted(counts)
        assert value(f"ambassador_{name}_seconds_bucket", le="+Inf") == 6
        assert value(f"ambassador_{name}_seconds_count") == 6
    logged = admin.ambassador.closed(6)
    assert value("ambassador_connection_seconds_sum") == pytest.approx(sum(e["seconds"] for e in logged), abs=0.01)
    assert value("ambassador_connect_seconds_sum") == pytest.approx(
        sum(e["connect_ms"] for e in logged) / 1000, abs=1e-4
    )
    assert metrics["ambassador_ready", frozenset()] == 1
    assert metrics["process_open_fds", frozenset()] > 0


def test_upstream_up_follows_the_dials(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """An upstream that was never dialled is up; it is down after a failed dial, and up again after a good one."""
    server = serve(echo, listening=False)
    admin = watch(server.port, settings={"CONNECT_TIMEOUT": "100ms", **workers})
    labels = {"route": route_of(admin), "endpoint": f"{LOCAL}:{server.port}"}
    assert admin.metric("ambassador_upstream_up", **labels) == 1
    with admin.ambassador.connect() as client:
        assert final_error(client) is ConnectionResetError
    assert admin.metric("ambassador_upstream_up", **labels) == 0
    server.start()
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
        assert admin.metric("ambassador_upstream_up", **labels) == 1


def test_process_metrics_are_of_all_processes(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """CPU and open files are those of the ambassador and its workers together."""
    admin = watch(serve(hold).port, settings=workers)
    before = admin.metric("process_open_fds")
    cpu = admin.metric("process_cpu_seconds_total")
    clients = [admin.ambassador.connect() for _ in range(50)]
    eventually(lambda: admin.metric("process_open_fds") >= before + 100)
    assert admin.metric("process_cpu_seconds_total") >= cpu > 0
    assert admin.metric("process_resident_memory_bytes") >= admin.ambassador.memory() / 2
    for client in clients:
        client.close()


def _closed(admin: Admin) -> None:
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"x"


def _client_reset(admin: Admin) -> None:
    client = admin.ambassador.connect()
    client.sendall(b"x")
    exactly(client, 1)
    reset(client)


def _cut(admin: Admin) -> None:
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
        assert final_error(client) is ConnectionResetError


def _half_closed_and_cut(admin: Admin) -> None:
    with admin.ambassador.connect() as client:
        client.shutdown(socket.SHUT_WR)
        assert final_error(client) is ConnectionResetError


def _killed(admin: Admin) -> None:
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
        number = admin.json("/connections")["connections"][0]["id"]
        assert admin.ask(f"/connections/{number}", "DELETE").status == 200


def _refused(admin: Admin) -> None:
    assert turned_away(admin.ambassador.port)


def _bad_header(admin: Admin) -> None:
    with admin.ambassador.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert final_error(client) is ConnectionResetError


def never_answers(client: socket.socket) -> None:
    """Take everything, and stay when the client ends its stream."""
    hold(client)
    client.recv(1)
    eventually(lambda: client.fileno() < 0 or _broken(client))


def _broken(client: socket.socket) -> bool:
    return bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) or client.getsockopt(6, 11) == 7


@pytest.mark.parametrize(
    ("end", "settings", "traffic"),
    [
        ("closed", {}, _closed),
        ("client_reset", {}, _client_reset),
        ("idle_timeout", {"IDLE_TIMEOUT": "200ms"}, _cut),
        ("max_lifetime", {"MAX_LIFETIME": "200ms"}, _cut),
        ("killed", {}, _killed),
        ("not_allowed", {"ALLOW": "10.0.0.0/8"}, _refused),
        ("bad_proxy_header", {"PROXY_PROTOCOL_FROM": "127.0.0.0/8"}, _bad_header),
    ],
)
def test_endings_are_counted_and_logged(
    watch: Watch, serve: Serve, workers: dict[str, str], end: str, settings: dict[str, str],
    traffic: Callable[[Admin], None],
) -> None:  # fmt: skip
    """Each way a connection with a healthy upstream can end is counted once under its name, and logged by it."""
    admin = watch(serve(echo).port, settings={**settings, **workers})

    traffic(admin)

    admin.ended(end)
    assert admin.metric("ambassador_connections_total", route=route_of(admin), end=end) == 1
    assert sum(admin.route()["ends"].values()) == 1
    assert [event["end"] for event in admin.ambassador.closed()] == [end]


def test_a_half_close_that_lasts_is_counted(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """A half-closed connection on which nothing moves is cut at its timeout, under that name."""
    admin = watch(serve(never_answers).port, settings={"HALF_CLOSE_TIMEOUT": "200ms", **workers})
    _half_closed_and_cut(admin)
    admin.ended("half_close_timeout")


def test_early_resets_are_counted_for_their_endpoint(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """An upstream that resets before its first byte is counted beside its endpoint; a later reset is not."""

    def reset_at_once(client: socket.socket) -> None:
        if client.recv(1) == b"y":
            client.sendall(b"y")
        reset(client)

    admin = watch(serve(reset_at_once).port, settings=workers)
    for first in (b"x", b"y"):
        with admin.ambassador.connect() as client:
            client.sendall(first)
            final_error(client)
    admin.ended("upstream_reset", 2)
    assert admin.route()["endpoints"][0]["early_resets"] == 1


def test_who_is_cut_by_the_drain_is_logged(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """Clients that outlast the drain are reset as `drained`, with their bytes; the exit code says that there were some.

    The access log alone can be asked: the admin server ends with the drain.
    """
    admin = watch(serve(echo).port, settings={"DRAIN_TIMEOUT": "300ms", **workers})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(admin.ambassador.connect()) for _ in range(2)]
        for client in clients:
            client.sendall(b"x" * 1000)
            exactly(client, 1000)
        assert admin.metric("ambassador_connections_active", route=route_of(admin)) == 2
        assert admin.ask("/drain", "POST").status == 202
        for client in clients:
            assert final_error(client) is ConnectionResetError
    assert admin.ambassador.exit_code() == 1
    lines = admin.ambassador.closed(2)
    assert [(line["end"], line["bytes_up"], line["bytes_down"]) for line in lines] == [("drained", 1000, 1000)] * 2


def test_every_sample_is_named_by_the_contract(watch: Watch, serve: Serve) -> None:
    """The exposition holds the metrics that were promised, those of the process, and no other."""
    admin = watch(serve(echo).port)
    names = {name for name, _ in admin.metrics() if not name.startswith("process_")}
    histograms = {
        f"ambassador_{name}_seconds_{part}"
        for name in ("connect", "connection", "turn")
        for part in ("bucket", "count", "sum")
    }
    assert names == histograms | {
        "ambassador_info", "ambassador_connections_total", "ambassador_connections_active", "ambassador_bytes_total",
        "ambassador_upstream_up", "ambassador_accept_paused_total", "ambassador_ready", "ambassador_pipes_lent",
    }  # fmt: skip
    assert admin.ask("/metrics").headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_promtool_has_no_complaint(watch: Watch, serve: Serve) -> None:
    """Prometheus' own checker of metrics finds nothing to say about the exposition."""
    admin = watch(serve(echo).port)
    _closed(admin)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=admin.ask("/metrics").body, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
