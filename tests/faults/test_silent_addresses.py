"""Addresses that are silent, beside some that answer, as real networks have them."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually
from tests.support.island import island
from tests.support.net import connect, free_port
from tests.support.servers import Server, greet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.island import Island
    from tests.support.process import Ambassador

# Half of this is what a silent first of two cost every client before silence was remembered; so bounds are far from it.
SLOW = {"CONNECT_TIMEOUT": "30s"}
HALF = 15.0
NEXT = 20


@pytest.fixture
def on() -> Iterator[Island]:
    """Yield a namespace with addresses of all sorts."""
    with island() as made:
        yield made


@pytest.fixture
def port() -> int:
    """Return the port of every server here."""
    return free_port()


@pytest.fixture
def alive(on: Island, port: int) -> Iterator[str]:
    """Yield the address of a server that greets."""
    host = on.address()
    with Server(greet, host=host, port=port):
        yield host


def silent(on: Island, kind: str, port: int) -> str:
    """Return an address that is silent in the way of this *kind*."""
    kinds: dict[str, Callable[[], str]] = {"dropped": on.dropped, "full": partial(on.full, port), "no ARP": on.nobody}
    return kinds[kind]()


def seconds_to_greeting(on: Island, running: Ambassador, patience: float = 60) -> float:
    """Return how long a client waits for the first byte, which must come within its patience."""
    began = time.monotonic()
    with connect(running.port, on.there) as client:
        client.settimeout(patience)
        assert client.recv(1) == b"x"
    return time.monotonic() - began


def crowd(on: Island, running: Ambassador) -> list[float]:
    """Return how long each of `NEXT` clients waits that come at once."""
    with ThreadPoolExecutor(NEXT) as clients:
        return list(clients.map(lambda _: seconds_to_greeting(on, running), range(NEXT)))


def row(on: Island, running: Ambassador) -> list[float]:
    """Return how long each of `NEXT` clients waits that come one after another."""
    return [seconds_to_greeting(on, running) for _ in range(NEXT)]


@pytest.mark.parametrize("kind", ["dropped", "full", "no ARP"])
def test_a_silent_address_of_a_name_costs_a_moment_once(on: Island, alive: str, port: int, kind: str) -> None:
    """The first client of a name whose first address is silent waits far less than its share, and no other longer."""
    on.hosts({"db.example": [silent(on, kind, port), alive]})
    running = on.ambassador(f"tcp://db.example:{port}", settings=SLOW)

    first = seconds_to_greeting(on, running)
    at_once, in_a_row = crowd(on, running), row(on, running)

    assert first < 2
    assert max(at_once + in_a_row) < 2
    assert running.named("route.upstream_down") == []


@pytest.mark.parametrize("version", [4, 6])
def test_two_silent_addresses_cost_no_more_than_a_moment_each(on: Island, alive: str, port: int, version: int) -> None:
    """A name's third address serves the first client soon, be the silent ones before it of its family or not."""
    on.hosts({"db.example": [on.dropped(version), on.dropped(version), alive]})
    running = on.ambassador(f"tcp://db.example:{port}", settings=SLOW)

    first = seconds_to_greeting(on, running)
    at_once, in_a_row = crowd(on, running), row(on, running)

    assert max([first, *at_once, *in_a_row]) < 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dropped", "full", "no ARP"])
def test_a_silent_endpoint_costs_seconds_once(on: Island, alive: str, port: int, kind: str) -> None:
    """The first client of a list whose first endpoint is silent waits far less than its share, all others hardly."""
    running = on.ambassador(f"tcp://{silent(on, kind, port)}:{port},tcp://{alive}:{port}", settings=SLOW)

    first = seconds_to_greeting(on, running)
    at_once, in_a_row = crowd(on, running), row(on, running)

    assert first < HALF / 2
    assert max(at_once + in_a_row) < 2
    assert len(running.named("endpoint.ejected")) == 1


@pytest.mark.slow
def test_two_silent_endpoints_do_not_hide_the_third(on: Island, alive: str, port: int) -> None:
    """Behind two silent endpoints the third is found within a few seconds, and by all others at once."""
    links = ",".join(f"tcp://{host}:{port}" for host in (on.dropped(), on.dropped(), alive))
    running = on.ambassador(links, settings=SLOW)

    first = seconds_to_greeting(on, running)
    at_once, in_a_row = crowd(on, running), row(on, running)

    assert first < HALF / 2
    assert max(at_once + in_a_row) < 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a name", "a list"])
def test_clients_that_wait_three_seconds_get_through(on: Island, alive: str, port: int, how: str) -> None:
    """With default settings a silent first address or endpoint keeps no client away that waits for three seconds."""
    dead = on.dropped()
    on.hosts({"db.example": [dead, alive]})
    running = on.ambassador(
        f"tcp://db.example:{port}" if how == "a name" else f"tcp://{dead}:{port},tcp://{alive}:{port}"
    )

    for _ in range(6):
        seconds_to_greeting(on, running, patience=3)


@pytest.mark.slow
def test_two_silent_endpoints_keep_one_client_that_waits_three_seconds(on: Island, alive: str, port: int) -> None:
    """Two silent endpoints may cost one client its three seconds, and the next finds the third."""
    links = ",".join(f"tcp://{host}:{port}" for host in (on.dropped(), on.dropped(), alive))
    running = on.ambassador(links)

    with contextlib.suppress(TimeoutError):
        seconds_to_greeting(on, running, patience=3)
    for _ in range(5):
        seconds_to_greeting(on, running, patience=3)


@pytest.mark.slow
def test_an_endpoint_that_answers_again_gets_the_next_clients(on: Island, alive: str, port: int) -> None:
    """Once the firewall lets the first endpoint's packets through, clients go there again, and none waits for it."""
    first = on.dropped()
    running = on.ambassador(f"tcp://{first}:{port},tcp://{alive}:{port}")
    with Server(greet, host=first, port=port) as server:
        seconds_to_greeting(on, running)
        assert server.accepted == []
        on.inside("iptables", "-F", "INPUT")
        waited: list[float] = []

        def is_back() -> bool:
            waited.append(seconds_to_greeting(on, running))
            last = running.closed(1 + len(waited))[-1]
            return bool(last["upstream"] == f"{first}:{port}")

        eventually(is_back, "a client at the first endpoint")
        assert max(waited) < 2
