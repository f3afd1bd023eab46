"""How many connections the open-files limit allows, with what the process itself needs set aside."""

from __future__ import annotations

import resource
from typing import NamedTuple

# A connection is two sockets.
_A_CONNECTION = 2
# Standard streams, epolls, the loop's own pipe, listeners, hosts files and lookups in flight.
_OWN = 32


class Limits(NamedTuple):
    """What the open-files limit is divided into.

    Attributes:
        files: the limit itself (RLIMIT_NOFILE).
        connections: how many connections it allows.
        admin: how many clients the admin server may have.
        pipes: how many pipes splicing may hold.
    """

    files: int
    connections: int
    admin: int
    pipes: int


def raise_files_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def divide(files: int, *, listeners: int) -> Limits:
    """Divide *files* open files between connections and everything else; small limits shrink everything."""
    admin = max(2, min(64, files // 16))
    pipes = max(1, min(128, files // 16))
    left = files - _OWN - listeners - admin - 2 * pipes
    return Limits(files=files, connections=max(1, left // _A_CONNECTION), admin=admin, pipes=pipes)
