"""Accepting that fails at random under load."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.net import connect, read_to_end
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve

RANDOM_ERRORS = """
import errno, os, random, socket
from ambassador.net import sockets
from tests.support.prelude import altered, replace
chance = random.Random(8)
ERRORS = (errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPROTO, errno.EPERM)
class Failing(socket.socket):
    def _accept(self):
        if chance.random() < 0.3:
            number = chance.choice(ERRORS)
            raise OSError(number, os.strerror(number))
        return super()._accept()
replace(sockets, "socket", altered(socket, socket=Failing))
"""


def ask(port: int) -> bytes:
    """Return what comes back of five bytes."""
    with connect(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def test_errors_of_accept_cost_nobody_a_connection(ambassador: Launch, serve: Serve, loop_name: str) -> None:
    """With three accepts in ten failing for all kinds of reasons, each of 300 clients is served."""
    running = ambassador(serve(echo).port, loop=loop_name, prelude=RANDOM_ERRORS)
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(ask, [running.port] * 300)) == {b"hello"}
    assert {line["end"] for line in running.closed(300)} == {"closed"}
    assert running.named("accept.paused")
    assert running.stop() == 0
