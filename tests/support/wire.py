"""A network namespace behind a wire that can be cut: what is in it vanishes without a word."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.process import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wire:
    """A namespace with one address, and a veth pair between it and this one.

    Attributes:
        here: this side's address.
        there: the address in the namespace.
    """

    def __init__(self) -> None:
        name = secrets.token_hex(3)
        self.namespace = f"ambassador-{name}"
        self._ours, self._theirs = f"amb{name}a", f"amb{name}b"
        # 198.18.0.0/15 is for tests of networks (RFC 2544): nobody's addresses are in the way.
        net = f"198.18.{secrets.randbelow(256)}.{4 * secrets.randbelow(64)}"
        first, last = net.rsplit(".", 1)
        self.here, self.there = f"{first}.{int(last) + 1}", f"{first}.{int(last) + 2}"
        self._processes: list[subprocess.Popen[str]] = []

    def build(self) -> None:
        """Make the namespace and the wire."""
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self._ours, "type", "veth", "peer", "name", self._theirs, "netns", self.namespace)
        run("ip", "address", "add", f"{self.here}/30", "dev", self._ours)
        run("ip", "link", "set", self._ours, "up")
        self.inside("ip", "address", "add", f"{self.there}/30", "dev", self._theirs)
        self.inside("ip", "link", "set", self._theirs, "up")
        self.inside("ip", "link", "set", "lo", "up")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs the words after it in the namespace."""
        return ("ip", "netns", "exec", self.namespace)

    def inside(self, *words: str) -> None:
        """Run a command in the namespace, which has to succeed."""
        run(*self.prefix, *words)

    def start(self, program: str) -> subprocess.Popen[str]:
        """Run a Python program in the namespace, and wait for its first line."""
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-c", program],
            env=environment({}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def cut(self) -> None:
        """Drop every packet from now on, both ways."""
        for chain in ("INPUT", "OUTPUT"):
            self.inside("iptables", "-I", chain, "-j", "DROP")

    def remove(self) -> None:
        """End what runs in the namespace, and remove it."""
        for process in self._processes:
            process.kill()
            with process:
                pass
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "delete", self._ours)
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "netns", "delete", self.namespace)


def run(*words: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(words, check=True, capture_output=True, timeout=60)


def needs(*tools: str) -> None:
    """Skip the test unless we are root and have these tools; where CI has to, fail it."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if os.geteuid() or missing:
        reason = f"this needs {' and '.join(missing) or 'root'}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """Yield a wire; skip the test where this machine does not let us make one, which CI has to."""
    needs("ip", "iptables")
    made = Wire()
    try:
        made.build()
        yield made
    finally:
        made.remove()
