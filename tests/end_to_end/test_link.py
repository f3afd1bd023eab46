"""Whole links of several ambassadors and routes."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from typing import TYPE_CHECKING

from tests.support.net import LOCAL, digest_to_end, exactly, final_error, free_port, read_to_end, reset
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve
    from tests.support.process import Ambassador
    from tests.support.servers import Behaviour


def chain(ambassador: Launch, upstream: int) -> list[Ambassador]:
    """Start three ambassadors, each before the next; return them, the one nearest to the client first."""
    last = ambassador(upstream)
    middle = ambassador(last.port)
    return [ambassador(middle.port), middle, last]


def test_a_chain_of_three_is_like_one(ambassador: Launch, serve: Serve) -> None:
    """Through three ambassadors bulk data arrives whole both ways, with its end of stream, and is counted at each."""
    ambassadors = chain(ambassador, serve(echo).port)
    data = random.Random(9).randbytes(20_000_000)  # noqa: S311 - data, no secret
    with ambassadors[0].connect() as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert digest_to_end(client) == (len(data), hashlib.sha256(data).hexdigest())
        sender.join()
    for one in ambassadors:
        (line,) = one.closed()
        assert (line["end"], line["bytes_up"], line["bytes_down"]) == ("closed", len(data), len(data))


def test_a_reset_goes_through_a_chain(ambassador: Launch, serve: Serve) -> None:
    """A reset at either end of a chain of three is a reset at the other end, after the bytes before it."""
    server = serve()
    first, *_ = chain(ambassador, server.port)
    with first.connect() as client:
        server.client(0).sendall(b"before")
        assert exactly(client, 6) == b"before"
        reset(server.client(0))
        assert final_error(client) is ConnectionResetError
    client = first.connect()
    client.sendall(b"before")
    assert exactly(server.client(1), 6) == b"before"
    reset(client)
    assert final_error(server.client(1)) is ConnectionResetError


def test_a_failed_dial_at_the_end_of_a_chain_resets_the_client(ambassador: Launch) -> None:
    """Where the last of three finds nobody, the client of the first is reset."""
    last = ambassador(free_port(), settings={"CONNECT_TIMEOUT": "300ms"})
    middle = ambassador(last.port)
    first = ambassador(middle.port)
    with first.connect() as client:
        assert final_error(client) is ConnectionResetError
    assert last.closed()[0]["end"] == "connect_refused"
    assert first.closed()[0]["end"] == "upstream_reset"


def test_two_routes_in_one_ambassador_do_not_mix(ambassador: Launch, serve: Serve) -> None:
    """Clients of two ports reach their own upstreams, and each route's lines name it."""

    def say(text: bytes) -> Behaviour:
        return lambda client: client.sendall(text)

    one, two = serve(say(b"one")), serve(say(b"two"))
    running = ambassador(one.port, two.port)
    for number, text in ((0, b"one"), (1, b"two"), (0, b"one")):
        with running.connect(number) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == text
    routes = sorted(line["route"] for line in running.closed(3))
    assert routes == sorted([f"up:{running.ports[0]}"] * 2 + [f"up:{running.ports[1]}"])


def test_a_restarted_upstream_is_found_again(ambassador: Launch, serve: Serve) -> None:
    """After the upstream was gone and is back, the next client is served without a restart of the ambassador."""
    server = serve(echo)
    running = ambassador(server.port)
    for _ in range(3):
        with running.connect() as client:
            client.sendall(b"hello")
            assert exactly(client, 5) == b"hello"
            server.stop()
            assert final_error(client) in {None, ConnectionResetError}
        with running.connect() as client:  # comes while nobody is there
            client.sendall(b"again")
            running.wait_for("route.upstream_down")
            server.start()
            assert exactly(client, 5) == b"again"


def test_a_restarted_source_ambassador_is_found_again(ambassador: Launch, serve: Serve) -> None:
    """When the source ambassador is restarted, the target goes on, and its next client gets through."""
    server, port = serve(echo), free_port()
    links = {f"A_PORT_{port}_TCP": f"tcp://{LOCAL}:{server.port}"}
    source = ambassador(links=links)
    target = ambassador(port)
    for _ in range(2):
        with target.connect() as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b"hello"
        source.closed()
        assert source.stop() == 0
        source = ambassador(links=links)
