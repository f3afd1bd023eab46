"""How many clients a route may have, and how many of them may wait for its upstream."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.server.connections import Connections
from ambassador.server.places import OwnCap, Places
from tests.support.deadline import eventually
from tests.support.net import connect, exactly, free_port, read_to_end
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador


class Crowd:
    """Clients of one process with several routes."""

    def __init__(self, limit: int, routes: int) -> None:
        self.connections = Connections(limit, routes=routes)
        self.numbers = iter(range(10**6))

    def come(self, places: Places) -> int | None:
        """Take a place; return the client's number, None where there was no place."""
        if not places.take():
            return None
        number = next(self.numbers)
        live: dict[int, Any] = self.connections.live
        live[number] = None
        places.waits()
        return number

    def many(self, places: Places) -> list[int]:
        """Take places until there is none."""
        return list(iter(lambda: self.come(places), None))

    def go(self, places: Places, number: int, *, waiting: bool) -> None:
        """Leave."""
        places.leave(waiting=waiting)
        del self.connections.live[number]


def test_those_who_wait_have_no_more_than_their_share() -> None:
    """Of two routes each has half of the places for clients that wait, and of three a third."""
    for routes in (2, 3):
        crowd = Crowd(60, routes)
        waiting = [len(crowd.many(Places(crowd.connections))) for _ in range(routes)]
        assert waiting == [60 // routes] * routes


def test_relays_may_have_all_places() -> None:
    """A route whose upstream answers has the whole, and leaves to others what it does not use."""
    crowd = Crowd(10, 2)
    busy = Places(crowd.connections)
    for _ in range(10):
        assert crowd.come(busy) is not None
        busy.relays()

    assert crowd.come(busy) is None


def test_the_share_is_of_what_relays_leave_free() -> None:
    """A crowd beside its own route's relays leaves another route its share of the rest."""
    crowd = Crowd(10, 2)
    crowded, other = Places(crowd.connections), Places(crowd.connections)
    for _ in range(6):
        crowd.come(crowded)
        crowded.relays()

    assert len(crowd.many(crowded)) == 2
    assert len(crowd.many(other)) == 2


def test_one_route_has_all_places_and_each_has_one() -> None:
    """A single route shares with nobody, and where there are more routes than places each may wait with one client."""
    crowd = Crowd(5, 1)
    assert len(crowd.many(Places(crowd.connections))) == 5
    crowd = Crowd(2, 5)
    assert len(crowd.many(Places(crowd.connections))) == 1


def test_a_client_that_leaves_makes_room() -> None:
    """Whether it waited or relayed, the place of a client that is over is another's, in the route's own cap, too."""
    crowd = Crowd(4, 2)
    places = Places(crowd.connections, OwnCap(2))
    for relays in (False, True):
        first, second = crowd.many(places)
        if relays:
            places.relays()
        crowd.go(places, first, waiting=not relays)
        assert len(crowd.many(places)) == 1
        crowd.go(places, second, waiting=True)
        crowd.go(places, second + 1, waiting=True)
    assert (places.waiting, crowd.connections.waiting) == (0, 0)


def test_those_who_wait_for_room_are_told_of_a_relay() -> None:
    """A listener that waits because of its share is called when one of those who waited relays."""
    connections = Connections(4, routes=2)
    places = Places(connections)
    calls: list[int] = []
    places.waits()
    connections.on_room.append(lambda: calls.append(1))
    places.relays()

    assert calls == [1]


def greets(client: socket.socket) -> bool:
    """Tell whether a client's word comes back."""
    client.sendall(b"x")
    return exactly(client, 1) == b"x"


def two_routes(ambassador: Launch, most: str, workers: int, **upstreams: int) -> tuple[Ambassador, dict[str, int]]:
    """Start an ambassador whose dials take longer than any test; return it and its ports."""
    ports = {alias: free_port() for alias in upstreams}
    running = ambassador(
        settings={"MAX_CONNECTIONS": most, "WORKERS": str(workers), "CONNECT_TIMEOUT": "5m", "DRAIN_TIMEOUT": "1s"},
        links={f"{alias}_PORT_{ports[alias]}_TCP": f"tcp://127.0.0.1:{port}" for alias, port in upstreams.items()},
    )
    return running, ports


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_upstream_s_crowd_keeps_nobody_else_out(ambassador: Launch, serve: Serve, workers: int) -> None:
    """With more clients waiting for one route's upstream than there are places, another route serves as ever."""
    server = serve(echo)
    running, ports = two_routes(ambassador, "10", workers, DEAD=free_port(), WELL=server.port)
    with contextlib.ExitStack() as stack:
        for _ in range(30 * workers):
            stack.enter_context(connect(ports["DEAD"]))
        running.wait_for("accept.paused", route=f"dead:{ports['DEAD']}", reason="max_connections")
        for _ in range(3):
            assert greets(stack.enter_context(connect(ports["WELL"])))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cap_of_one_route(ambassador: Launch, serve: Serve, workers: int) -> None:
    """An exception of MAX_CONNECTIONS limits one route, in all workers together, and no other."""
    few, many = serve(echo), serve(echo)
    running, ports = two_routes(ambassador, "few=3", workers, FEW=few.port, MANY=many.port)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(ports["FEW"])) for _ in range(6)]
        eventually(lambda: len(few.accepted) == 3)
        running.wait_for("accept.paused", route=f"few:{ports['FEW']}", reason="max_connections")
        for _ in range(8):
            assert greets(stack.enter_context(connect(ports["MANY"])))
        assert len(few.accepted) == 3
        for served, client in enumerate(clients, 1):
            assert greets(client)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
            assert len(few.accepted) <= served + 3
        running.wait_for("accept.resumed", route=f"few:{ports['FEW']}")


def test_a_full_route_that_nobody_waits_for_is_no_event(ambassador: Launch, serve: Serve) -> None:
    """One client after another on a route for one at a time makes no warning."""
    server = serve(echo)
    running, ports = two_routes(ambassador, "one=1", 1, ONE=server.port)
    for count in range(3):
        with connect(ports["ONE"]) as client:
            assert greets(client)
        running.closed(count + 1)

    assert not running.named("accept.paused")
