"""Many strangers at once, who begin a handshake and do not end it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.support.deadline import eventually
from tests.support.net import exactly

if TYPE_CHECKING:
    import socket

    from tests.support.tunnels import Join

STRANGERS = 200
# A quarter of all connections at most are strangers' (ambassador/server/admission.py).
MOST_CONNECTIONS = 400
MOST_PENDING = MOST_CONNECTIONS // 4


def is_reset(sock: socket.socket) -> bool:
    """Tell whether the other side has reset the connection."""
    try:
        sock.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    raise AssertionError("a stranger got an answer, or an orderly end")


def test_stalled_handshakes_take_no_place_from_others(join: Join, loop_name: str) -> None:
    """Two hundred strangers beside live relays: the oldest go first, nobody new is refused, and no relay waits."""
    pair = join(loop=loop_name, source={"MAX_CONNECTIONS": str(MOST_CONNECTIONS), "CONNECT_TIMEOUT": "60s"})
    with contextlib.ExitStack() as stack:
        live = [stack.enter_context(pair.connect()) for _ in range(10)]
        strangers = []
        for number in range(STRANGERS):
            stranger = stack.enter_context(pair.source.connect())
            if number % 2:
                stranger.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
            stranger.setblocking(False)  # noqa: FBT003 - the name of it
            strangers.append(stranger)
            client = live[number % len(live)]
            client.sendall(b"%04d" % number)
            assert exactly(client, 4) == b"%04d" % number

        eventually(lambda: all(map(is_reset, strangers[:-MOST_PENDING])), "the oldest strangers are reset")
        assert not any(map(is_reset, strangers[-MOST_PENDING:]))
        lines = pair.source.wait_for("connection.closed", STRANGERS - MOST_PENDING, end="handshake_failed")
        ports = ["{}:{}".format(*stranger.getsockname()) for stranger in strangers]
        assert [line["client"] for line in lines] == ports[:-MOST_PENDING]
        assert {line["error"] for line in lines} == {"too many others wait to be admitted"}

        with pair.connect() as newcomer:
            newcomer.sendall(b"let me in")
            assert exactly(newcomer, 9) == b"let me in"
    assert len(pair.upstream.accepted) == len(live) + 1


def test_a_stalled_stranger_does_not_keep_a_stop_from_coming(join: Join) -> None:
    """A stranger whose handshake stalls is reset when the drain is over, and the process ends."""
    pair = join(source={"DRAIN_TIMEOUT": "1s"})
    with pair.source.connect() as stranger:
        stranger.setblocking(False)  # noqa: FBT003 - the name of it
        pair.source.stop()
        assert is_reset(stranger)
