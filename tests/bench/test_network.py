"""The network that the bench measures in."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bench.network import OWN, SHARED
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve

LEAVE_AND_LOOK = """
import socket, sys
from bench.network import leave_the_machines
from bench.ports import connect, listens
print(leave_the_machines())
with socket.create_server(("127.0.0.1", 0)) as server:
    connect(server.getsockname()[1], timeout=5).close()
print(listens(int(sys.argv[1])))
"""


def may_leave() -> bool:
    """Tell whether this Python may give a process a network of its own."""
    return sys.version_info >= (3, 12) and subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0


def test_it_is_the_benchs_own_where_that_is_allowed(serve: Serve) -> None:
    """Its loopback works and what listens outside is out of reach; where it is not allowed, the answer says so."""
    argv = [sys.executable, "-c", LEAVE_AND_LOOK, str(serve(hold).port)]
    network, reaches_outside = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
    assert (network, reaches_outside) == ((OWN, "False") if may_leave() else (SHARED, "True"))
