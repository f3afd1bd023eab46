"""The admin server over real sockets: what it answers, how much it holds, and whom it keeps out."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import TYPE_CHECKING

from tests.support.admin import TOKEN, address_of_this_machine
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, connect, exactly, final_error, free_port, read_to_end
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch


def test_live_and_ready_are_told_in_words(watch: Watch, loop_name: str) -> None:
    """A serving ambassador is live and ready, and says so in one word each."""
    admin = watch(free_port(), loop=loop_name)

    assert admin.ask("/livez")[::2] == (200, "live\n")
    assert admin.ask("/readyz")[::2] == (200, "ready\n")


def test_readiness_looks_at_upstreams_only_when_asked(watch: Watch, serve: Serve) -> None:
    """A dead upstream makes `?upstreams` say 503 once a dial has shown it, and 200 again once a dial gets through."""
    server = serve(echo, listening=False)
    admin = watch(server.port, settings={"CONNECT_TIMEOUT": "200ms"})
    assert admin.ask("/readyz?upstreams").status == 200  # never dialled

    with admin.ambassador.connect() as client:
        assert final_error(client) is ConnectionResetError
    answer = admin.ask("/readyz?upstreams")
    assert (answer.status, answer.body) == (503, f"not ready: upstream down: up:{admin.ambassador.port}\n")
    assert admin.ask("/readyz").status == 200

    server.start()
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        assert exactly(client, 1) == b"x"
    assert admin.ask("/readyz?upstreams").status == 200


def test_a_live_endpoint_keeps_its_upstream_up(watch: Watch, serve: Serve) -> None:
    """A route with a dead endpoint before a live one gets through, and so is ready."""
    server = serve(echo)
    admin = watch(f"tcp://{LOCAL}:{free_port()},tcp://{LOCAL}:{server.port}")
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        assert exactly(client, 1) == b"x"

    assert [endpoint["up"] for endpoint in admin.route()["endpoints"]] == [False, True]
    assert admin.ask("/readyz?upstreams").status == 200


def test_status_counts_the_bytes_of_live_connections(watch: Watch, serve: Serve, loop_name: str) -> None:
    """`/status` and `/connections` show what a connection has moved so far, to the byte, while it lives."""
    admin = watch(serve(echo).port, loop=loop_name)
    with admin.ambassador.connect() as client:
        client.sendall(b"x" * 100_000)
        exactly(client, 100_000)

        route = admin.route()
        assert (route["active"], route["bytes_up"], route["bytes_down"]) == (1, 100_000, 100_000)
        found = admin.json("/connections")
        assert found["total"] == 1
        (entry,) = found["connections"]
        assert entry.pop("seconds") > 0
        assert entry == {
            "id": 1,
            "route": f"up:{admin.ambassador.port}",
            "client": f"{LOCAL}:{client.getsockname()[1]}",
            "upstream": route["endpoints"][0]["name"],
            "bytes_up": 100_000,
            "bytes_down": 100_000,
            "state": "relaying",
        }


def test_states_of_connections_are_told(watch: Watch, serve: Serve) -> None:
    """A connection is shown as dialling, then as relaying, then as half-closed."""
    server = serve(listening=False)
    admin = watch(server.port)

    def state() -> str:
        return str(admin.json("/connections")["connections"][0]["state"])

    with admin.ambassador.connect() as client:
        eventually(lambda: admin.json("/connections")["total"])
        assert state() == "dialling"
        server.start()
        eventually(lambda: state() == "relaying")
        client.shutdown(socket.SHUT_WR)
        eventually(lambda: state() == "half-closed")


def test_connections_can_be_limited_and_filtered(watch: Watch, serve: Serve) -> None:
    """`?limit=` shortens the list but not the count, `?route=` shows one route only, and nonsense is refused."""
    server = serve(hold)
    admin = watch(server.port, server.port)
    clients = [admin.ambassador.connect(number) for number in (0, 0, 0, 1)]
    eventually(lambda: admin.json("/connections")["total"] == 4)

    limited = admin.json("/connections?limit=2")
    assert (limited["total"], [entry["id"] for entry in limited["connections"]]) == (4, [1, 2])
    assert admin.json("/connections?limit=0")["connections"] == []
    assert admin.json(f"/connections?route=up:{admin.ambassador.ports[1]}")["total"] == 1
    for nonsense in ("x", "-1", "", "9" * 30):
        assert admin.ask(f"/connections?limit={nonsense}").status == 400
    for client in clients:
        client.close()


def test_a_connection_is_reset_by_its_number(watch: Watch, serve: Serve) -> None:
    """DELETE resets both ends of one connection, counts it as killed, and leaves the others alone."""
    server = serve(echo)
    admin = watch(server.port)
    first, second = admin.ambassador.connect(), admin.ambassador.connect()
    for client in (first, second):
        client.sendall(b"x")
        exactly(client, 1)

    assert admin.ask("/connections/1", "DELETE").status == 200
    assert final_error(first) is ConnectionResetError
    second.sendall(b"y")
    assert exactly(second, 1) == b"y"
    assert admin.ask("/connections/1", "DELETE").status == 404
    assert admin.ask("/connections/nonsense", "DELETE").status == 404
    assert admin.route()["ends"]["killed"] == 1
    assert admin.ambassador.closed()[0]["end"] == "killed"
    (told,) = admin.ambassador.wait_for("connection.killed")
    assert (told["id"], told["by"]) == (1, LOCAL)
    first.close()
    second.close()


def test_a_drain_is_told_with_who_began_it(watch: Watch, workers: dict[str, str]) -> None:
    """The line on a drain that began over the admin address names the address that it came from, and only that one."""
    outside = address_of_this_machine()
    admin = watch(free_port(), settings={"ADMIN_TOKEN": TOKEN, **workers}, host="0.0.0.0")
    admin.host = outside
    assert admin.ask("/drain", "POST", {"Authorization": f"Bearer {TOKEN}"}).status == 202
    (told,) = admin.ambassador.wait_for("ambassador.draining")
    assert (told["reason"], told["by"]) == ("admin", outside)
    assert admin.ambassador.exit_code() == 0


def test_what_is_not_there_is_404_and_what_is_wrong_405(watch: Watch) -> None:
    """Unknown paths and wrong methods get the status that HTTP has for them."""
    admin = watch(free_port())

    assert admin.ask("/nothing").status == 404
    assert admin.ask("/drain").status == 405
    answer = admin.ask("/status", "POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


def test_the_token_is_asked_of_those_from_elsewhere(watch: Watch) -> None:
    """A client that is not on a loopback address changes something only with the token; reading needs none."""
    outside = address_of_this_machine()
    admin = watch(free_port(), settings={"ADMIN_TOKEN": TOKEN}, host="0.0.0.0")
    admin.host = outside

    assert admin.ask("/status", headers={"Host": "ambassador:9901"}).status == 200
    answer = admin.ask("/drain", "POST")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert admin.ask("/connections/1", "DELETE", {"Authorization": "Bearer wrong"}).status == 401
    assert admin.ask("/connections/1", "DELETE", {"Authorization": f"Bearer {TOKEN}"}).status == 404


def test_web_pages_get_nothing_over_the_wire(watch: Watch) -> None:
    """Over real HTTP, too, a foreign origin drains nothing and a rebound name reads nothing."""
    admin = watch(free_port())

    assert admin.ask("/drain", "POST", {"Origin": "http://evil.example"}).status == 403
    assert admin.ask("/drain", "POST", {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert admin.ask("/status", headers={"Host": "evil.example"}).status == 403
    assert admin.ask("/readyz").status == 200


def test_head_is_get_without_a_body(watch: Watch) -> None:
    """HEAD is answered by the head alone, so that the next answer on the connection is where it is expected."""
    admin = watch(free_port())
    with connect(admin.port) as sock:
        for path in ("/", "/livez", "/metrics", "/status", "/connections"):
            sock.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        *heads, body = read_to_end(sock).split(b"\r\n\r\n")

    assert [head.split(b"\r\n")[0] for head in heads] == [b"HTTP/1.1 200 OK"] * 6
    assert body == b"live\n"


def test_admin_answers_while_relays_are_saturated(watch: Watch, serve: Serve, loop_name: str) -> None:
    """With bulk streams running as fast as they can, every request is still answered."""
    admin = watch(serve(echo).port, loop=loop_name)
    stop = threading.Event()

    def flood(sock: socket.socket) -> None:
        with sock:
            while not stop.is_set():
                sock.sendall(b"x" * 65536)
                exactly(sock, 65536)

    threads = [threading.Thread(target=flood, args=(admin.ambassador.connect(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: admin.route()["bytes_up"] > 10_000_000)
        for path in ("/livez", "/readyz", "/metrics", "/status", "/connections", "/"):
            assert admin.ask(path).status == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_admin_answers_when_descriptors_run_out(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """With more clients than the open-files limit allows, accepting pauses, is counted and told; admin answers."""
    server = serve(hold)
    admin = watch(server.port, settings=workers, files=128)
    limit = admin.json("/status")["limit"]
    clients = [admin.ambassador.connect() for _ in range(limit + 20)]
    eventually(lambda: admin.route()["accept_paused"])

    assert admin.route()["active"] == limit
    assert admin.metric("ambassador_accept_paused_total", route=f"up:{admin.ambassador.port}") >= 1
    assert admin.ask("/readyz").status == 200
    admin.ambassador.wait_for("accept.paused", reason="max_connections")
    for client in clients:
        client.close()
    admin.ended("closed", limit + 20)


def test_keep_alive_serves_many_requests(watch: Watch) -> None:
    """One connection may ask again and again."""
    admin = watch(free_port())
    connection = http.client.HTTPConnection(LOCAL, admin.port, timeout=PATIENCE)
    for _ in range(20):
        connection.request("GET", "/status")
        assert json.loads(connection.getresponse().read())["state"] == "serving"
    connection.close()
