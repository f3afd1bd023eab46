"""`ambassador demo`: a whole link on this machine."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from ambassador.cli import main
from ambassador.commands import demo
from tests.support.process import command

if TYPE_CHECKING:
    import pytest


def test_every_byte_comes_back_and_every_hop_is_told() -> None:
    """The demo ends with 0 and names each hop, whatever settings its environment has."""
    surroundings = {
        "AMBASSADOR_ROUTES": "nonsense",
        "OTHER_PORT_80_TCP": "tcp://10.0.0.7:80",
        "DEMO_PORT_81_TCP": "nonsense",
        "demo_PORT_82_TCP": "tcp://10.0.0.7:80",
    }
    code, out, err = command("demo", env=surroundings, patience=90)
    assert (code, err) == (0, "")
    for hop in ("server ", "source ambassador", "target ambassador", "client ", "every byte came back"):
        assert hop in out
    assert out.count("exit code 0") == 2


def test_a_link_that_does_not_come_up_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ambassador that ends at once is a failure at run time, told in one line."""
    monkeypatch.setattr(sys, "executable", "false")
    assert main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ambassador: no ambassador listens on port ")


def test_bytes_that_differ_are_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A link that changes what it carries is a failure at run time, told in one line."""
    monkeypatch.setattr(demo, "_ambassador", lambda *_: contextlib.nullcontext())

    async def changed(*_: object) -> bytes:
        return b"something else"

    monkeypatch.setattr(demo, "_exchange", changed)
    assert main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "the bytes that came back differ from those that were sent"


def test_a_link_that_breaks_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A client that is reset is a failure at run time, told in one line."""
    monkeypatch.setattr(demo, "_ambassador", lambda *_: contextlib.nullcontext())
    assert main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ambassador: the link broke: ")
