"""Sockets to listen on, and what is said where there is none to be had."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.errors import StartError
from ambassador.net import sockets
from ambassador.net.address import Address
from tests.support.process import ROOT, environment

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# A network of its own, whose low ports are as old Docker and most of Kubernetes have them, and no privilege.
UNPRIVILEGED = (
    "unshare", "--net", "sh", "-c",
    'echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start; exec setpriv --bounding-set=-all --inh-caps=-all "$@"',
    "-",
)  # fmt: skip


def test_port_without_privilege_names_what_helps() -> None:
    """Whoever may not listen on port 80 is told of the sysctl, the capability and other ports, with exit code 1."""
    if os.geteuid() or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("needs root, unshare and setpriv")
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "ambassador"],
        check=False, capture_output=True, text=True, cwd=ROOT,
        env=environment({"WEB_PORT_80_TCP": "tcp://127.0.0.1:1", "AMBASSADOR_ADMIN": "off"}),
    )  # fmt: skip

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ambassador: cannot listen on *:80 (WEB_PORT_80_TCP): Permission denied; ")
    for remedy in ("--sysctl net.ipv4.ip_unprivileged_port_start=0", "NET_BIND_SERVICE", "another port"):
        assert remedy in line


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give what has the kernel refuse every address for a reason."""

    def refuse(number: int) -> None:
        def bind(*_arguments: object) -> socket.socket:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(sockets, "_bound", bind)

    return refuse


@pytest.mark.parametrize(("number", "port"), [(errno.EACCES, 65535), (errno.EADDRINUSE, 80)])
def test_what_no_privilege_would_mend_has_no_such_advice(
    refusing: Callable[[int], None], number: int, port: int
) -> None:
    """A port that needs no privilege, or that is in use, is told without the advice."""
    refusing(number)

    with pytest.raises(StartError) as refused:
        sockets.bind(Address("127.0.0.1", port), keepalive=0)

    assert str(refused.value).endswith(f": {os.strerror(number)}")
