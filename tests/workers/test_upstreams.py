"""What workers that each know a part say of their upstreams together."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ambassador.config.routes import Endpoint, Route
from ambassador.net.address import Address
from ambassador.workers.upstreams import Upstreams
from tests.support.deadline import eventually
from tests.support.net import final_error
from tests.support.reports import endpoint, report
from tests.support.servers import echo
from tests.workers.conftest import close, say, talk

if TYPE_CHECKING:
    from ambassador.server.report import EndpointReport, Report
    from tests.conftest import Serve
    from tests.workers.conftest import LaunchFleet

ROUTE = Route(
    name="r:1",
    alias="r",
    listen=(Address("", 1),),
    endpoints=(Endpoint(Address("10.0.0.7", 1)),),
    source="R_PORT_1_TCP",
)


class Reporter:
    """A worker that says what a test has it say."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._before: Report | None = None

    def dialled(self, at: float, error: str | None = None, *, failures: int = 0, resolved: str = "10.0.0.7") -> None:
        """Report that the last dial, at the time *at*, had this outcome."""
        told = endpoint(dialled=0.0, up=error is None, error=error, failures=failures, resolved=[resolved])
        counted = report(endpoints=[told])
        self._upstreams.learn(self._before, counted, {ROUTE.name: {"10.0.0.7:1": at}})
        self._before = counted


@pytest.fixture
def upstreams() -> Upstreams:
    """Give what a parent knows of one endpoint before the first report."""
    return Upstreams([ROUTE])


def known(upstreams: Upstreams) -> EndpointReport:
    """Return what the parent says of the endpoint."""
    (route,) = upstreams.complete(report(endpoints=[endpoint(early_resets=3)]))["routes"]
    (found,) = route["endpoints"]
    return found


def test_the_last_dial_decides_whether_an_endpoint_is_up(upstreams: Upstreams) -> None:
    """Of two workers that disagree the one that dialled last is believed, however often each says it."""
    one, other = Reporter(upstreams), Reporter(upstreams)
    assert known(upstreams)["up"] is None
    one.dialled(5.0, "refused", failures=1)
    other.dialled(6.0)
    one.dialled(5.0, "refused", failures=1)
    assert (known(upstreams)["up"], known(upstreams)["error"], known(upstreams)["early_resets"]) == (True, None, 3)
    one.dialled(7.0, "refused", failures=2)
    other.dialled(6.0)
    assert (known(upstreams)["up"], known(upstreams)["error"]) == (False, "refused")


def test_failures_of_all_workers_are_added_up(upstreams: Upstreams) -> None:
    """Every failed attempt since the endpoint was last up counts once, whichever worker made it."""
    one, other = Reporter(upstreams), Reporter(upstreams)
    one.dialled(5.0, "refused", failures=4)
    other.dialled(6.0, "refused", failures=3)
    one.dialled(5.5, "refused", failures=6)
    one.dialled(5.5, "refused", failures=6)
    assert known(upstreams)["failures"] == 9
    other.dialled(7.0)
    assert known(upstreams)["failures"] == 0


def test_a_change_that_both_see_is_said_once(upstreams: Upstreams) -> None:
    """Down, up and moved are one line each, though two workers find out one after the other."""
    one, other = Reporter(upstreams), Reporter(upstreams)
    with capture_logs() as said:
        for at, reporter in ((1.0, one), (2.0, other)):
            reporter.dialled(at, "refused", failures=1)
        for at, reporter in ((3.0, one), (4.0, other)):
            reporter.dialled(at, resolved="10.0.0.9")
    assert [event["event"] for event in said] == ["route.upstream_down", "route.upstream_moved", "route.upstream_up"]


def test_what_a_killed_worker_saw_is_remembered(fleet: LaunchFleet, serve: Serve) -> None:
    """An upstream stays down when the worker that found it down is killed, until somebody reaches it."""
    server = serve(echo, listening=False)
    running = fleet(server.port, settings={"CONNECT_TIMEOUT": "100ms"})
    with running.ambassador.connect() as client:
        assert final_error(client) is ConnectionResetError
    (line,) = running.ambassador.closed()
    running.ambassador.wait_for("route.upstream_down")  # said by the parent, as soon as it knows
    os.kill(running.pids[line["id"] % 2], signal.SIGKILL)
    running.ambassador.wait_for("worker.started", 3)

    assert running.ask("/readyz?upstreams").status == 503
    found = running.route()["endpoints"][0]
    assert (found["up"], found["failures"] > 0) == (False, True)
    server.start()
    close(talk(running, 1))
    assert running.ask("/readyz?upstreams").status == 200


def test_what_a_hanging_worker_saw_ages(fleet: LaunchFleet, serve: Serve) -> None:
    """An upstream that a worker reached before it hung is down as soon as another worker's dial has failed."""
    server = serve(echo)
    running = fleet(server.port, settings={"CONNECT_TIMEOUT": "100ms"})
    clients = talk(running, 1)
    victim = running.pids[running.owners().index(1)]
    os.kill(victim, signal.SIGSTOP)
    try:
        server.stop()
        with running.ambassador.connect() as client:
            assert final_error(client) is ConnectionResetError
        eventually(lambda: running.ask("/readyz?upstreams").status == 503)
        (down,) = running.ambassador.wait_for("route.upstream_down")
        assert down["reason"] == "Connection refused"
    finally:
        os.kill(victim, signal.SIGCONT)
    for client in clients:
        client.close()


def test_lines_of_a_worker_say_which(fleet: LaunchFleet, serve: Serve) -> None:
    """What each worker says for itself has its index; connections have their number, and upstreams are the parent's."""
    running = fleet(serve(echo).port)
    (client,) = talk(running, 1)
    say(client)
    close([client])
    assert running.ambassador.stop() == 0

    assert "worker" not in running.ambassador.closed()[0]
    for event in ("worker.draining", "worker.stopped"):
        assert sorted(line["worker"] for line in running.ambassador.named(event)) == [0, 1]
    assert [line for line in running.ambassador.named("ambassador.ready") if "worker" in line] == []
