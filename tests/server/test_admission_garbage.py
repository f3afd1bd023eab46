"""Whoever was refused leaves nothing for the garbage collector: memory is bounded, whenever that runs."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

from tests.support.net import final_error, reset
from tests.support.proofs import careless_client
from tests.support.servers import echo

if TYPE_CHECKING:
    from tests.conftest import Launch, Serve
    from tests.support.tunnels import Proofs

# The collector never runs; at the end of the process it is told what only it would free.
WITHOUT_COLLECTOR = """
import atexit, gc, json, sys
from tests.support.prelude import replace
gc.disable()
replace(gc, "enable", lambda: None)
def left():
    names = ("Admission", "Connection", "Handshake", "Codec", "Leg", "SSLObject")
    found = [type(thing).__name__ for thing in gc.get_objects()]
    print(json.dumps({"event": "test.left", **{name: found.count(name) for name in names}}), file=sys.stderr)
atexit.register(left)
"""
OF_A_KIND = 3


def test_who_was_refused_leaves_nothing_behind(ambassador: Launch, serve: Serve, proofs: Proofs) -> None:
    """However clients are refused, no part of them is left in a cycle of references."""
    running = ambassador(
        serve(echo).port,
        settings={**proofs.source, "MAX_CONNECTIONS": "12", "CONNECT_TIMEOUT": "500ms"},
        prelude=WITHOUT_COLLECTOR,
    )
    count = 0
    for _ in range(OF_A_KIND):
        with running.connect() as garbage, running.connect() as half, running.connect() as gone:
            garbage.sendall(b"GET / HTTP/1.1\r\n\r\n")
            half.sendall(b"\x16\x03\x01\x02\x00\x01")
            gone.sendall(b"\x16\x03\x01\x02\x00\x01")
            reset(gone)
            with (
                contextlib.suppress(ssl.SSLError, OSError),
                careless_client(version=ssl.TLSVersion.TLSv1_3).wrap_socket(running.connect()) as unproven,
            ):
                unproven.recv(1)
            assert final_error(half) is ConnectionResetError
        count += 4
        running.closed(count)
    with contextlib.ExitStack() as stack:
        for _ in range(20):  # more than are let in
            stack.enter_context(running.connect())
        running.closed(count + 20)
    assert {line["end"] for line in running.closed(count + 20)} == {"handshake_failed"}
    assert running.stop() == 0
    (left,) = running.named("test.left")
    assert {name: number for name, number in left.items() if name != "event" and number} == {}
