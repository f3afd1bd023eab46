"""Many strangers at once, who begin a handshake and do not end it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.support.deadline import eventually
from tests.support.net import exactly
from tests.support.servers import echo

if TYPE_CHECKING:
    import socket

    from tests.conftest import Launch, Serve
    from tests.support.tunnels import Join, Proofs

STRANGERS = 200
LIVE = 10
# Strangers have two thirds of what relays leave; those who have sent something a quarter of all
# (ambassador/server/pending.py).
MOST_CONNECTIONS = 100
MOST_PENDING = (MOST_CONNECTIONS - LIVE) * 2 // 3
MOST_SPEAKING = MOST_CONNECTIONS // 4
A_FEW = 5


class Resets:
    """Which connections the other side has reset: the kernel tells of each once."""

    def __init__(self) -> None:
        self._seen: set[socket.socket] = set()

    def has(self, sock: socket.socket) -> bool:
        """Tell whether a connection was reset."""
        try:
            if sock not in self._seen:
                sock.recv(1)
                raise AssertionError("a stranger got an answer, or an orderly end")
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self._seen.add(sock)
        return True


def test_stalled_handshakes_take_no_place_from_others(join: Join, loop_name: str) -> None:
    """Two hundred strangers beside live relays: of each kind the oldest go, nobody new is refused, no relay waits."""
    pair = join(loop=loop_name, source={"MAX_CONNECTIONS": str(MOST_CONNECTIONS), "CONNECT_TIMEOUT": "60s"})
    with contextlib.ExitStack() as stack:
        live = [stack.enter_context(pair.connect()) for _ in range(LIVE)]
        silent: list[socket.socket] = []
        speaking: list[socket.socket] = []
        for number in range(STRANGERS):
            stranger = stack.enter_context(pair.source.connect())
            if number % 2:
                stranger.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
            stranger.setblocking(False)  # noqa: FBT003 - the name of it
            (speaking if number % 2 else silent).append(stranger)
            client = live[number % len(live)]
            client.sendall(b"%04d" % number)
            assert exactly(client, 4) == b"%04d" % number

        # Whoever comes takes a silent one's place, and if it then says something, that of one who had: so there may be
        # a few silent ones less than there is room for.
        room = MOST_PENDING - MOST_SPEAKING
        gone = silent[:-room] + speaking[:-MOST_SPEAKING]
        left = silent[-room + A_FEW :] + speaking[-MOST_SPEAKING:]
        resets = Resets()
        eventually(lambda: all(map(resets.has, gone)), "the oldest strangers are reset")
        assert not any(map(resets.has, left))
        names = {"{}:{}".format(*stranger.getsockname()) for stranger in gone}
        eventually(lambda: names <= {line["client"] for line in pair.source.named("connection.closed")})
        lines = pair.source.named("connection.closed")
        assert {(line["end"], line["error"]) for line in lines} == {
            ("handshake_failed", "too many others wait to be admitted")
        }

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
        assert Resets().has(stranger)


# A prelude: a stranger's step takes as long as a signature by a very long key, and is told.
SLOW_STEPS = """
import json, sys, time
from ambassador.tunnel.handshake import Handshake
from tests.support.prelude import replace
def read(self, most):
    time.sleep(0.02)
    print(json.dumps(dict(event="test.step")), file=sys.stderr, flush=True)
    return plain(self, most)
plain = replace(Handshake, "read", read)
"""
ROUNDS = 20


def test_a_relay_waits_for_few_steps_of_strangers(ambassador: Launch, proofs: Proofs, serve: Serve) -> None:
    """Beside strangers who always have a step to be done, an answer through a relay comes within a few of them."""
    upstream = serve(echo)
    source = ambassador(upstream.port, settings={**proofs.source, "CONNECT_TIMEOUT": "60s"}, prelude=SLOW_STEPS)
    with source.connect() as raw, proofs.client.wrap_socket(raw) as client, contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(source.connect()) for _ in range(64)]

        def push() -> int:
            for stranger in strangers:
                with contextlib.suppress(OSError):
                    stranger.sendall(b"\x16\x03\x01\x02\x00"[:1])
            return len(source.named("test.step"))

        waited = []
        for _ in range(ROUNDS):
            before = push()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            waited.append(len(source.named("test.step")) - before)
    assert sum(waited), "strangers were at work"
    assert max(waited) <= 10  # measured: 1 to 3; it was 64
