"""How many connections the open-files limit allows, with what the process itself needs set aside."""

from __future__ import annotations

import resource
from typing import NamedTuple

# The client's socket and the upstream's; the pipes of a connection that splices are counted by themselves.
_DESCRIPTORS_PER_CONNECTION = 2
# Standard streams, epolls, the loop's own pipe, hosts files and lookups in flight.
_RESERVED = 32


class Limits(NamedTuple):
    """What the open-files limit (RLIMIT_NOFILE, getrlimit(2)) is divided into.

    Attributes:
        connections: the most connections at once; each takes two descriptors.
        admin: the most clients of the admin server at once; each takes one descriptor.
        pipes: the most pipes that splicing may hold; each takes two descriptors.
    """

    connections: int
    admin: int
    pipes: int


def raise_files_limit() -> int:
    """Raise this process's soft limit of open files to the hard one (setrlimit(2)), and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def divide(files: int, *, listeners: int) -> Limits:
    """Divide *files* descriptors between connections and everything else, *listeners* of them listening sockets.

    A small limit shrinks every part; each part is at least one.
    """
    admin = max(2, min(64, files // 16))
    pipes = max(1, min(128, files // 16))
    left = files - _RESERVED - listeners - admin - 2 * pipes
    return Limits(connections=max(1, left // _DESCRIPTORS_PER_CONNECTION), admin=admin, pipes=pipes)
