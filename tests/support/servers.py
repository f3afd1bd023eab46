"""Upstreams that run in threads and behave as they are told."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Behaviour = Callable[[socket.socket], None]


def echo(client: socket.socket) -> None:
    """Send everything back, then end the stream."""
    while data := client.recv(1 << 17):
        client.sendall(data)


def hold(client: socket.socket) -> None:
    """Say nothing until the client ends its stream."""
    while client.recv(1 << 17):
        pass


def greet(client: socket.socket) -> None:
    """Speak first, and wait until the client ends its stream."""
    client.sendall(b"x")
    hold(client)


class Server:
    """Listen on a port of 127.0.0.1, and give every client a thread. A client's fault or the test's end is no error.

    Attributes:
        accepted: the clients' sockets, in the order of their coming.
    """

    def __init__(self, behave: Behaviour | None = None, *, port: int = 0, host: str = LOCAL) -> None:
        self.port = port or free_port()
        self.host = host
        self.accepted: list[socket.socket] = []
        self._behave = behave
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to listen, as after a restart."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._closing = False
        self._listener = socket.create_server((self.host, self.port), family=family, backlog=1024)
        self._spawn(self._accept, self._listener)

    def stop_listening(self) -> None:
        """Refuse further clients; those that are here stay."""
        self._closing = True
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            self._listener.close()
            self._listener = None

    def stop(self) -> None:
        """Stop listening, and end every connection."""
        self.stop_listening()
        for client in self.accepted:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        for client in self.accepted:
            client.close()

    def client(self, number: int = 0) -> socket.socket:
        """Return the socket of client *number*, once it is there."""
        eventually(lambda: len(self.accepted) > number, f"client {number} at the upstream")
        return self.accepted[number]

    def _spawn(self, work: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(sock,), daemon=True)
        thread.start()
        # A thread that is held keeps its stack, also when it has ended.
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(PATIENCE)
            self.accepted.append(client)
            if self._behave is not None:
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        assert self._behave is not None
        # Only this thread closes it: the number of a closed descriptor could be another's by now.
        with contextlib.suppress(OSError, ValueError), client:
            self._behave(client)
