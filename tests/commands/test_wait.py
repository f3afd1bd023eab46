"""`ambassador wait`: nothing is missing any more, or what is."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from ambassador.commands.wait import _upstream_missing
from ambassador.config.routes import Endpoint, Route
from ambassador.net.address import Address
from ambassador.upstream.resolve import HostsFile
from tests.support.net import LOCAL, free_port
from tests.support.prelude import guarded
from tests.support.process import ENTER, HANGING_LOOKUP, ROOT, command, environment
from tests.support.servers import echo, hold

if TYPE_CHECKING:
    import socket

    import pytest

    from tests.conftest import Launch, Serve


def test_it_returns_0_once_ambassador_and_upstream_are_there(ambassador: Launch, serve: Serve) -> None:
    """With the ambassador ready and every upstream accepting, it returns at once and says what that proves."""
    server, admin = serve(echo), f"{LOCAL}:{free_port()}"
    ambassador(server.port, settings={"ADMIN": admin})
    code, out, err = command("wait", f"{LOCAL}:{server.port}", env={"AMBASSADOR_ADMIN": admin})
    assert (code, err) == (0, "")
    assert "source ambassador" in out


def test_it_waits_for_what_comes_later(ambassador: Launch, serve: Serve) -> None:
    """An upstream that begins to listen while it waits is noticed."""
    server = serve(echo, listening=False)
    later = threading.Timer(0.5, server.start)
    later.start()
    try:
        code, _, _ = command("wait", f"{LOCAL}:{server.port}", env={"AMBASSADOR_ADMIN": "off"})
    finally:
        later.join()
    assert code == 0


def test_it_names_what_is_missing_at_the_timeout(serve: Serve) -> None:
    """At the timeout it returns 1 and names the ambassador that does not answer and the upstream that refuses."""
    port, admin = free_port(), f"{LOCAL}:{free_port()}"
    live = serve(echo)
    code, out, err = command(
        "wait", "--timeout", "300ms", f"{LOCAL}:{port}", f"{LOCAL}:{live.port}", env={"AMBASSADOR_ADMIN": admin}
    )
    assert (code, out) == (1, "")
    assert admin in err
    assert f"{LOCAL}:{port}" in err
    assert "refused" in err
    assert str(live.port) not in err


def test_one_endpoint_that_accepts_is_enough(serve: Serve) -> None:
    """A second endpoint makes up for a first that refuses, as it does for a dial."""
    server = serve(echo)
    route = f"{LOCAL}:{free_port()},{LOCAL}:{server.port}"
    code, _, err = command("wait", "--timeout", "5s", route, env={"AMBASSADOR_ADMIN": "off"})
    assert (code, err) == (0, "")


def test_what_answers_never_is_named_at_the_timeout(serve: Serve) -> None:
    """A silent name server and a mute ambassador do not hold the end up, nor keep others from being found."""
    live, mute = serve(echo), serve(hold)
    done = subprocess.run(
        [
            sys.executable, "-c", guarded(HANGING_LOOKUP) + ENTER,
            "wait", "--timeout", "500ms", "silent.example:80", f"{LOCAL}:{live.port}",
        ],
        check=False, env=environment({"AMBASSADOR_ADMIN": f"{LOCAL}:{mute.port}"}), cwd=ROOT, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "silent.example:80" in done.stderr
    assert f"no ambassador at {LOCAL}:{mute.port}" in done.stderr
    assert str(live.port) not in done.stderr


def test_nothing_raw_of_a_hostile_answer_is_shown(serve: Serve) -> None:
    """What answers at the admin address with escape codes, or without end, is named in one printable line."""

    def shout(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall("HTTP/1.0 503 No\r\n\r\n\x1b[2J\x07\u202e\nmore".encode())

    def pour(client: socket.socket) -> None:
        client.recv(1000)
        while True:
            client.sendall(b"HTTP/1.0 200 OK\r\n" * 1000)

    live = serve(echo)
    for behave, said in ((shout, r"is \x1b[2J\x07\u202e"), (pour, "received more")):
        env = {"AMBASSADOR_ADMIN": f"{LOCAL}:{serve(behave).port}"}
        code, out, err = command("wait", "--timeout", "500ms", f"{LOCAL}:{live.port}", env=env)
        assert (code, out) == (1, "")
        assert said in err
        assert err[:-1].isprintable()


def test_every_address_of_an_alias_is_tried(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second address that /etc/hosts has for a link makes up for a first that refuses, as it does for a dial."""
    server = serve(echo)
    link = Endpoint(Address("192.0.2.1", server.port), "web")
    route = Route("web:80", "web", (Address("", 80),), (link,), "WEB_PORT_80_TCP")
    hosts = HostsFile()
    monkeypatch.setattr(hosts, "addresses", {"web": ("127.0.0.3", LOCAL)}.get)
    assert _upstream_missing(route, hosts, 5.0) is None


def test_an_unresolvable_name_is_missing_not_an_error() -> None:
    """A name that does not resolve yet is waited for, and named at the timeout."""
    code, _, err = command("wait", "--timeout", "300ms", "nowhere.invalid:80", env={"AMBASSADOR_ADMIN": "off"})
    assert code == 1
    assert "nowhere.invalid:80" in err
    assert "Traceback" not in err
