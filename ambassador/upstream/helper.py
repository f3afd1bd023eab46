"""The helper process that looks names up, as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from ambassador.upstream import name_service

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Answer = Callable[["tuple[str, ...]", "str | None"], None]

# Without room for a child the helper itself waits for a name: for so long, in seconds, if another waits behind it.
_TURN = 1.0
_ENDED = "the process that looks names up has ended"


def spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a helper process; return it and the socket to it. `end` ends it.

    A program of its own rather than a fork: it holds none of this process's memory and files, and it can be started
    while there are threads.

    Raises:
        OSError: there is no room for another process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, with a file of this package
            [sys.executable, "-I", "-S", name_service.__file__],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,  # says only that the helper lives: its children, who keep the socket, close it
            stderr=subprocess.DEVNULL,
            # A group of its own, to be killed as one. It also makes Python fork: posix_spawn(3), its other way, needs
            # clone3, which some seccomp profiles refuse.
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a helper and its children, and wait for all whose parent is this process then, as it is for process 1."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None  # noqa: S101 - as it was started
    process.stdout.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-process.pid, 0)


def look_up_apart(name: str, timeout: float) -> tuple[str, ...]:
    """Do as `look_up`, for no longer than *timeout* seconds where there is room for another process.

    Raises:
        OSError, UnicodeError: as `look_up` does; TimeoutError when it took too long.
    """
    try:
        process, sock = spawn()
    except OSError:
        return name_service.look_up(name)
    try:
        sock.settimeout(timeout)
        sock.send(json.dumps([0, name]).encode())
        answer: list[object] = []
        while len(answer) < 3:
            answer = json.loads(sock.recv(name_service.MOST_BYTES))
    finally:
        sock.close()
        end(process)
    addresses, reason = _read(answer)
    if reason is not None:
        raise OSError(None, reason)
    return addresses


def _read(answer: list[object]) -> tuple[tuple[str, ...], str | None]:
    """Return the addresses and the reason of an answer."""
    match answer:
        case [_, [*addresses], str(reason) | (None as reason)]:
            return tuple(map(str, addresses)), reason
        case _:
            raise ValueError(f"no answer: {answer!r}")


class Helper:
    """A process that looks names up. Owns it and the socket to it; `close` ends both.

    *again* is asked for what this helper could not answer since another name was in its way.

    Raises:
        OSError: there is no room for another process.

    Attributes:
        closed: it is over, by `close` or by itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, again: Callable[[str, Answer], None]) -> None:
        self._loop = loop
        self._again = again
        self._process, self._socket = spawn()
        self._socket.setblocking(False)  # noqa: FBT003 - the name of it
        self._asked: dict[int, tuple[str, Answer]] = {}
        self._number = 0
        self.closed = False
        assert self._process.stdout is not None  # noqa: S101 - as it was started
        self._life = self._process.stdout.fileno()
        loop.add_reader(self._socket.fileno(), self._receive)
        loop.add_reader(self._life, self._give_up, _ENDED)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Tell whether nobody waits for an answer."""
        return not self._asked

    def ask(self, name: str, answer: Answer) -> bool:
        """Have *answer* called with the addresses of *name*; tell whether the question could be put."""
        self._number += 1
        try:
            self._socket.send(json.dumps([self._number, name]).encode())
        except OSError:
            return False
        self._asked[self._number] = (name, answer)
        return True

    def close(self) -> None:
        """End the process and its children. What was asked gets no answer any more."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_reader(self._life)
            self._socket.close()
            end(self._process)

    def _receive(self) -> None:
        """Take all that the helper says."""
        try:
            while not self.closed and (message := self._socket.recv(name_service.MOST_BYTES)):
                self._take(json.loads(message))
        except BlockingIOError:
            return
        except OSError:
            pass  # as if it had ended
        self._give_up(_ENDED)

    def _take(self, answer: list[object]) -> None:
        number = answer[0]
        assert isinstance(number, int)  # noqa: S101 - it was ours
        if len(answer) == 1:
            self._loop.call_later(_TURN, self._end_turn, number)
        elif number in self._asked:
            self._answer(number, *_read(answer))

    def _end_turn(self, number: int) -> None:
        """Start anew without the name for which the helper itself waits, if another name waits behind it."""
        if self.closed or number not in self._asked:
            return
        name, _ = self._asked[number]
        if all(other == name for other, _ in self._asked.values()):
            self._loop.call_later(_TURN, self._end_turn, number)
            return
        others = [question for question in self._asked.values() if question[0] != name]
        self._asked = {number: question for number, question in self._asked.items() if question[0] == name}
        self._give_up("no answer, and no room to wait for it while other names are looked up: raise the pids limit")
        for question in others:
            self._again(*question)

    def _give_up(self, reason: str) -> None:
        """End the process, and answer in its place."""
        self.close()
        for number in list(self._asked):
            self._answer(number, (), reason)

    def _answer(self, number: int, addresses: tuple[str, ...], reason: str | None) -> None:
        _, answer = self._asked.pop(number)
        self._loop.call_soon(answer, addresses, reason)
