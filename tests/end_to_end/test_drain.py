"""The drain, begun by a signal or a request, as clients and the admin address see it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import PATIENCE, eventually
from tests.support.net import connect, exactly, final_error, read_to_end
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch


def test_a_drain_by_request_is_a_drain(watch: Watch, serve: Serve, loop_name: str) -> None:
    """POST /drain turns readiness at once, then closes the listener, lets relays end, and the exit code is 0."""
    admin = watch(serve(echo).port, settings={"DRAIN_DELAY": "500ms", "DRAIN_TIMEOUT": "20s"}, loop=loop_name)
    client = admin.ambassador.connect()
    client.sendall(b"x")
    exactly(client, 1)

    assert admin.ask("/drain", "POST").status == 202
    assert admin.ask("/readyz")[::2] == (503, "not ready: draining\n")
    assert admin.metric("ambassador_ready") == 0
    with admin.ambassador.connect() as late:  # the delay: not ready, but still accepting
        late.sendall(b"y")
        assert exactly(late, 1) == b"y"
    eventually(lambda: _refused(admin.ambassador.port))
    assert admin.ask("/drain", "POST").status == 202  # unlike a second signal, it cuts nothing
    assert admin.json("/status")["state"] == "draining"
    client.sendall(b"z")
    assert exactly(client, 1) == b"z"
    client.close()
    assert admin.ambassador.exit_code() == 0


@pytest.mark.parametrize("by", ["signal", "request"])
def test_drain_under_load_cuts_nobody(watch: Watch, serve: Serve, by: str, workers: dict[str, str]) -> None:
    """While clients come and go, a drain turns readiness first, then refuses, and lets every exchange end: exit 0."""
    settings = {"DRAIN_TIMEOUT": "20s", "DRAIN_DELAY": "300ms", **workers}
    admin = watch(serve(echo).port, settings=settings)
    broken: list[Exception] = []
    refused = threading.Event()

    def keep_coming() -> None:
        while True:
            try:
                client = admin.ambassador.connect()
            except ConnectionError:
                refused.set()
                return
            try:
                with client:
                    client.sendall(b"x" * 20_000)
                    client.shutdown(socket.SHUT_WR)
                    assert len(read_to_end(client)) == 20_000
            except Exception as error:  # noqa: BLE001 - told to the test
                broken.append(error)

    threads = [threading.Thread(target=keep_coming) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(admin.route()["ends"].values()) > 100)
    held = admin.ambassador.connect()  # while it lives, the process does, and can be asked
    held.sendall(b"x")
    exactly(held, 1)
    began = time.monotonic()
    if by == "signal":
        admin.ambassador.signal(signal.SIGTERM)
    else:
        assert admin.ask("/drain", "POST").status == 202
    eventually(lambda: admin.ask("/readyz").status == 503)
    was_refused, seconds = refused.is_set(), time.monotonic() - began
    assert seconds > 0.3 or not was_refused  # the delay: not ready, and still accepting
    held.close()
    assert admin.ambassador.exit_code() == 0
    for thread in threads:
        thread.join(PATIENCE)
    assert refused.is_set()
    assert broken == []


def test_only_a_second_signal_cuts(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """The first signal after a request to drain leaves clients as they are, the second resets them."""
    admin = watch(serve(hold).port, settings={"DRAIN_TIMEOUT": "1h", **workers})
    with admin.ambassador.connect() as client:
        eventually(lambda: admin.json("/connections")["total"])
        assert admin.ask("/drain", "POST").status == 202

        admin.ambassador.signal(signal.SIGTERM)
        # Answers take several turns of the event loop, and workers hear the question after what the signal meant.
        assert [admin.json("/connections")["total"] for _ in range(5)] == [1] * 5
        admin.ambassador.signal(signal.SIGTERM)

        assert final_error(client) is ConnectionResetError
    assert admin.ambassador.exit_code() == 1
    assert [line["end"] for line in admin.ambassador.closed()] == ["drained"]


def _refused(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionError:
        return True
    return False
