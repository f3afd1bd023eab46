"""What a scenario is, and the words its scripts are made of."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from oracle import marks
from oracle.end import End
from oracle.watched import PATIENCE

Step = Callable[[End], None]
Script = tuple[Step, ...]
Allowed = tuple[tuple[str, ...], tuple[str, ...]]  # kinds of events: the client's, the server's

SMALL = 1000  # fits into any buffer
BULK = 4_000_037  # more than a socket's buffers hold at first; odd on purpose
HEAVY = 100_000_007


class Amount(Enum):
    """How many bytes an end must have received when its stream ends. They are always a true prefix of what was sent."""

    EXACT = "as many as directly"
    ALL = "all that were sent: how many fit depends on the buffers"
    ACKNOWLEDGED = "at least all that were acknowledged before the reset, at most all that were sent"
    SOME = "a reset overtakes what a reader does not read: how many fit depends on the buffers"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Two scripts and how their traces are compared.

    Attributes:
        narrow: both ends have small receive buffers, so that a stream of megabytes fills what is between them.
        heavy: moves hundreds of megabytes.
        impatient: needs a relay that gives a dial up after a second.
        apart: why no relay can show what a direct connection shows; then *allowed* says what it may show instead.
        allowed: what may be seen, for each way a relay may go.
        tunnelled: what is seen through a tunnel, which has less to tell than a direct connection; all bytes arrive.
    """

    name: str
    client: Script
    server: Script
    amount: Amount = Amount.EXACT
    narrow: bool = False
    heavy: bool = False
    impatient: bool = False
    apart: str = ""
    allowed: tuple[Allowed, ...] = ()
    tunnelled: Allowed | None = None


def joined(
    name: str,
    client: Script,
    server: Script,
    *,
    amount: Amount = Amount.EXACT,
    narrow: bool = False,
    heavy: bool = False,
    tunnelled: Allowed | None = None,
) -> Scenario:
    """Make a scenario that begins when both ends are connected."""
    return Scenario(
        name, (*CONNECT, *client), (*ACCEPT, *server),
        amount=amount, narrow=narrow, heavy=heavy, tunnelled=tunnelled,
    )  # fmt: skip


def both_ways(
    name: str,
    actor: Script,
    peer: Script,
    *,
    amount: Amount = Amount.EXACT,
    narrow: bool = False,
    tunnelled: Allowed | None = None,
) -> tuple[Scenario, Scenario]:
    """Make two scenarios: the client acts, the server acts. *tunnelled* is told as the actor's and the peer's."""
    make = partial(joined, amount=amount, narrow=narrow)
    return (
        make(f"{name}, by client", actor, peer, tunnelled=tunnelled),
        make(f"{name}, by server", peer, actor, tunnelled=tunnelled and tunnelled[::-1]),
    )


# --- words


def wait(fact: str, *, unless_direct: bool = False) -> Step:
    """Wait until the other end tells a fact. *unless_direct*: where it never can be without a relay."""

    def step(end: End) -> None:
        if not (unless_direct and end.direct) and not end.signals.wait(fact, of=end.other, patience=4 * PATIENCE):
            end.stop(f"in vain: {fact}")

    return step


def tell(fact: str) -> Step:
    """Tell the other end a fact."""
    return lambda end: end.signals.tell(fact)


def pause(seconds: float) -> Step:
    """Let time pass, where time is what the scenario is about."""
    return lambda _: time.sleep(seconds)


def connect() -> Step:
    """Connect."""
    return lambda end: end.connect()


def listen(backlog: int = 16) -> Step:
    """Listen, without accepting."""
    return lambda end: end.listen(backlog)


def occupy() -> Step:
    """Listen for one connection and take it oneself: the kernel drops every further SYN until `release`."""
    return lambda end: end.occupy()


def release() -> Step:
    """Accept the connection of `occupy` and close it."""
    return lambda end: end.release()


def stop_listening() -> Step:
    """Wait for a connection and stop listening without accepting it."""
    return lambda end: end.stop_listening()


def accept() -> Step:
    """Accept a connection, or end the script."""

    def step(end: End) -> None:
        if not end.accept():
            end.stop("no connection")

    return step


def accept_nobody(seconds: float) -> Step:
    """Expect that for so long nobody connects; read what a connection brings otherwise."""

    def step(end: End) -> None:
        if end.accept(seconds):
            end.read_to_end()

    return step


def send(count: int, chunk: int = 262144) -> Step:
    """Send bytes."""
    return lambda end: end.send(count, chunk)


def fill() -> Step:
    """Send until nothing has room any more."""
    return lambda end: end.fill()


def send_until_refused(chunk: int) -> Step:
    """Send to somebody who is gone, and see how that is refused."""
    return lambda end: end.send_until_refused(min(chunk, 262144))


def send_urgent() -> Step:
    """Send one urgent byte."""
    return marks.send_urgent


def urgent_inline() -> Step:
    """Ask for urgent bytes in their place among the others, as telnet and ftp servers do."""
    return lambda end: end.connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


def read(count: int) -> Step:
    """Read so many bytes."""
    return lambda end: end.read(count)


def read_to_mark(before: int = 0) -> Step:
    """Read up to an urgent byte, be it in line or not; *before*: how many bytes are before it, where no end follows."""
    return lambda end: marks.read_to_mark(end, before)


def read_to_end(chunk: int = 262144) -> Step:
    """Read up to an ending."""
    return lambda end: end.read_to_end(chunk)


def exchange(count: int, expected: int | None = None) -> Step:
    """Send so many bytes while reading the expected ones; without a number, both up to the end of the stream."""
    return lambda end: end.exchange(count, expected)


def await_bytes(count: int = 1) -> Step:
    """Wait until bytes are there, unread."""
    return lambda end: end.await_bytes(count)


def await_ending() -> Step:
    """Wait until an ending is there, unread."""
    return lambda end: end.await_ending()


def await_error() -> Step:
    """Wait until the connection is broken."""
    return lambda end: end.await_error()


def hear_nothing(seconds: float) -> Step:
    """Make sure that nothing comes for so long."""
    return lambda end: end.hear_nothing(seconds)


def end_of_stream() -> Step:
    """End one's own stream."""
    return lambda end: end.end()


def close() -> Step:
    """Close."""
    return lambda end: end.close()


def reset() -> Step:
    """Reset."""
    return lambda end: end.reset()


# Both ends know of the connection before either acts: a reset that is faster than that is a failed connect().
CONNECT: Script = (wait("listening"), connect(), tell("connected"), wait("accepted"))
ACCEPT: Script = (listen(), tell("listening"), accept(), tell("accepted"), wait("connected"))
