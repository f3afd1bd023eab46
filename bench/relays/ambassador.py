"""Ambassador itself, run from this checkout, or from an earlier one, by the interpreter that runs the bench."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from bench import ROOT
from bench.loads import last_line
from bench.ports import LOOPBACK, free_port
from bench.processes import Launch
from bench.relays.model import Relay, at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUIET = {"AMBASSADOR_ADMIN": "off", "AMBASSADOR_ACCESS_LOG": "off"}


def settings(listen: int, upstream: int, extra: Mapping[str, str], root: Path = ROOT) -> dict[str, str]:
    """Write the environment of one ambassador of the checkout *root*: a link variable, and *extra* settings."""
    return {
        "PYTHONPATH": str(root),
        f"A_PORT_{listen}_TCP": f"tcp://{at(upstream)}",
        "AMBASSADOR_BIND": LOOPBACK,
        **QUIET,
        **extra,
    }


def ambassador(
    listen: int, upstream: int, extra: Mapping[str, str], *, pipe_log: bool = False, root: Path = ROOT
) -> Launch:
    """Run one ambassador of the checkout *root* from *listen* to *upstream*."""
    argv = (sys.executable, "-P", "-m", "ambassador")  # not from the folder that the bench was started in
    admin = extra.get("AMBASSADOR_ADMIN", "")
    return Launch(argv, listen, settings(listen, upstream, extra, root), admin=admin, pipe_log=pipe_log)


def refusal(extra: Mapping[str, str]) -> str | None:
    """Ask `ambassador check` whether it takes these settings; return its last line if not."""
    answer = subprocess.run(
        [sys.executable, "-m", "ambassador", "check"],
        env={**os.environ, **settings(1111, 2222, extra)},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if answer.returncode == 0 else f"ambassador check: {last_line(answer.stderr)}"


def single(name: str, extra: Mapping[str, str], *, pipe_log: bool = False) -> Relay:
    """Make a relay of one ambassador with *extra* settings."""
    return Relay(
        name,
        lambda listen, upstream: (ambassador(listen, upstream, extra, pipe_log=pipe_log),),
        partial(refusal, extra),
    )


def with_admin(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run an ambassador that also answers admin requests, at a free port."""
    return (ambassador(listen, upstream, {"AMBASSADOR_ADMIN": at(free_port())}),)


def before(root: Path) -> Relay:
    """Make a relay of the ambassador of an earlier checkout, to measure what a change costs."""
    return Relay(
        "ambassador, before",
        lambda listen, upstream: (ambassador(listen, upstream, {}, root=root),),
        partial(refusal, {}),
    )


AMBASSADOR = single("ambassador", {})
LOGGING = single("ambassador, access log", {"AMBASSADOR_ACCESS_LOG": "on"}, pipe_log=True)
TWO_WORKERS = single("ambassador, 2 workers", {"AMBASSADOR_WORKERS": "2"})
ADMIN = Relay("ambassador, admin", with_admin, partial(refusal, {}))
WATCHED = Relay("ambassador, watched", with_admin, partial(refusal, {}))
