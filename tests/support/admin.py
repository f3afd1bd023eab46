"""Ask an ambassador's admin server, and read what it answers."""

from __future__ import annotations

import http.client
import json
import re
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.process import Ambassador

# One that nobody uses.
TOKEN = "correct-horse-battery"  # noqa: S105
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: str


class Admin:
    """The admin address of an ambassador, which is *port* of *host*."""

    def __init__(self, ambassador: Ambassador, port: int, host: str = LOCAL) -> None:
        self.ambassador = ambassador
        self.port = port
        self.host = host

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request, on a connection of its own, and return the answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """Return the answer to a GET, which has to be JSON."""
        answer = self.ask(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        return json.loads(answer.body)

    def route(self, number: int = 0) -> dict[str, Any]:
        """Return what `/status` says of a route."""
        port = f":{self.ambassador.ports[number]}"
        found: dict[str, Any]
        (found,) = (route for route in self.json("/status")["routes"] if route["name"].endswith(port))
        return found

    def ended(self, end: str, count: int = 1, number: int = 0) -> None:
        """Wait until *count* connections of a route have come to this end."""
        eventually(lambda: self.route(number)["ends"][end] == count, f"{count} of {end}: {self.route(number)['ends']}")

    def metrics(self) -> Metrics:
        """Scrape, and return every sample by its name and labels."""
        found: Metrics = {}
        for line in self.ask("/metrics").body.splitlines():
            match = _SAMPLE.match(line)
            if match is not None:
                found[match["name"], frozenset(_LABEL.findall(match["labels"] or ""))] = float(match["value"])
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Scrape one sample."""
        return self.metrics()[name, frozenset(labels.items())]


def route_of(admin: Admin) -> str:
    """Name the first route."""
    return f"up:{admin.ambassador.port}"


def address_of_this_machine() -> str:
    """Return an address of this machine that is not a loopback one; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback ones")
        return str(sock.getsockname()[0])
