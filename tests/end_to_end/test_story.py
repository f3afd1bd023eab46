"""What the log tells of upstreams and of single connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deadline import eventually
from tests.support.net import LOCAL, exactly, final_error
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch


def test_debug_tells_the_story_of_a_connection(watch: Watch, serve: Serve) -> None:
    """At the level debug each step of a connection is a line with its id, and at info only its end is."""
    server = serve(echo)
    story = {"debug": ["accepted", "dialling", "connected", "closed"], "info": ["closed"]}
    for level, expected in story.items():
        admin = watch(server.port, settings={"LOG_LEVEL": level})
        with admin.ambassador.connect() as client:
            client.sendall(b"x")
            exactly(client, 1)
        admin.ambassador.closed()
        told = [event["event"] for event in admin.ambassador.events if event.get("id") == 1]
        assert told == [f"connection.{step}" for step in expected]


def test_an_outage_is_two_lines_whoever_comes(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """A hundred clients of a dead upstream are one line when it goes down, few while it is, and one when it is back."""
    server = serve(echo, listening=False)
    admin = watch(server.port, settings={"CONNECT_TIMEOUT": "300ms", **workers})
    clients = [admin.ambassador.connect() for _ in range(100)]
    for client in clients:
        assert final_error(client) is ConnectionResetError
        client.close()
    server.start()
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
    (up,) = admin.ambassador.wait_for("route.upstream_up", endpoint=f"{LOCAL}:{server.port}")
    (down,) = admin.ambassador.named("route.upstream_down")
    assert down["reason"] == "Connection refused"
    assert down["level"] == "warning"
    assert up["failures"] >= 1
    assert up["down_seconds"] > 0
    assert len(admin.ambassador.named("route.upstream_still_down")) <= 1 + up["down_seconds"]
    assert eventually(lambda: admin.route()["endpoints"][0]["up"])
