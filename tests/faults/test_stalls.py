"""Many readers that stall, as an operator sees them: pipes come back, and the kernel holds little for each."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cases import quick
from tests.support.deadline import eventually
from tests.support.island import island
from tests.support.net import connect, free_port, perhaps_reset
from tests.support.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Serve
    from tests.support.watch import Watch

# More than there are pipes. They read no more than it takes to be lent one: what the kernel holds for many that read
# more, 12 MB each, comes near to all that it has for sockets, and other tests would feel that.
READERS = 80
READ = 1_500_000
CHUNK = bytes(1 << 18)


def pour(client: socket.socket) -> None:
    """Send without end."""
    while True:
        client.sendall(CHUNK)


def take(client: socket.socket, count: int) -> None:
    """Read *count* bytes at least."""
    while count > 0:
        count -= len(client.recv(1 << 18))


@contextlib.contextmanager
def reading(client: socket.socket) -> Iterator[None]:
    """Read all that comes, meanwhile."""

    def read() -> None:
        with perhaps_reset():
            while client.recv(1 << 18):
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        client.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.slow
def test_readers_that_stall_keep_no_pipe(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """However many readers take a part and stall, pipes come back, and another bulk stream has one while it moves.

    That is all of them, but for one a process where the kernel runs out of memory for sockets meanwhile (tcp_mem).
    """
    admin = watch(serve(pour).port, settings=workers)
    with contextlib.ExitStack() as stack:
        for _ in range(READERS):
            take(stack.enter_context(admin.ambassador.connect()), READ)
        kept = int(workers["WORKERS"])
        eventually(lambda: admin.metric("ambassador_pipes_lent") <= kept, "that the pipes are back")
        left = admin.metric("ambassador_pipes_lent")
        with reading(stack.enter_context(admin.ambassador.connect())):
            for _ in range(3):
                eventually(lambda: admin.metric("ambassador_pipes_lent") > left, "that the stream is spliced")
    eventually(lambda: admin.metric("ambassador_pipes_lent") == 0)


def queued(pid: int) -> int:
    """Count the bytes in the queues of a process's sockets (proc_net_tcp(5): what SIOCOUTQ and SIOCINQ tell)."""
    own = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    total = 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in own and fields[3] == "01":  # established: a listener has clients there, not bytes
            total += sum(int(field, 16) for field in fields[4].split(":"))
    return total


@pytest.mark.parametrize("megabytes", quick(1, [300, 6]))
def test_sysctls_bound_what_the_kernel_holds_for_a_stalled_reader(megabytes: int) -> None:
    """With the maxima of tcp_rmem and tcp_wmem that docs/operations.md names, a stalled reader has less than 6 MB."""
    port = free_port()
    with island() as on:
        for name, value in (("tcp_rmem", "4096 131072 2097152"), ("tcp_wmem", "4096 16384 2097152")):
            on.inside("sysctl", "-qw", f"net.ipv4.{name}={value}")
        host = on.address()
        with Server(pour, host=host, port=port):
            running = on.ambassador(f"tcp://{host}:{port}")
            with connect(running.port, on.there) as client:
                take(client, megabytes * 1_000_000)
                seen = [0, 0]

                def calm() -> bool:
                    """Tell whether what is queued has not changed for a few looks."""
                    now = queued(running.pid)
                    seen[:] = [now, seen[1] + 1 if now == seen[0] else 0]
                    return seen[1] > 20 and now > 0

                eventually(calm, "that it stalls")
                assert seen[0] < 6_000_000
