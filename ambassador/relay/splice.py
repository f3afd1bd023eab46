"""Move the bytes of a direction by splice(2), by way of a pipe: they stay in the kernel.

What is in a pipe has left its source, and if the sink takes no more it is stuck there. The pipe itself is wanted back
then (pipes.py), so what is in it must fit into what a connection may hold. Hence no more is spliced into it than the
sink is known to have room for, and `SPARE` bytes: without those a direction could not find out that there is room.
"""

from __future__ import annotations

import os
from errno import ECONNRESET, EINVAL, ENOSYS, EPERM, EPIPE
from typing import TYPE_CHECKING

from ambassador.net import tcp
from ambassador.relay import urgent
from ambassador.relay.pipes import MOST_HELD, PIPE_BYTES

if TYPE_CHECKING:
    from ambassador.relay.direction import Direction
    from ambassador.relay.pipes import Pipe

# As much as the copying direction reads at once.
SPARE = 64 * 1024
_NON_BLOCKING = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE if hasattr(os, "splice") else 0
# What a kernel or a sandbox says that does not splice these sockets; nothing was moved then.
_NO_SPLICE = frozenset({EINVAL, ENOSYS, EPERM})


def step(direction: Direction, pipe: Pipe) -> None:
    """Move bytes until the source is dry, the sink is full, or the turn is used up."""
    source, sink = direction.source, direction.sink.socket.fileno()
    moved = 0
    while pipe.filled or source.readable:
        if not pipe.filled and not _fill(direction, pipe):
            break
        try:
            sent = os.splice(pipe.read_end, sink, pipe.filled, flags=_NON_BLOCKING)
        except BlockingIOError:
            direction.blocked = True
            if pipe.filled > MOST_HELD:
                direction.relay.pipes.tight = True
            return
        except OSError as error:
            # What cut the last splice short was perhaps this error, which the kernel told nobody then. EPIPE, which
            # tells of a reset after an end of stream, is what is left of any reset.
            lost = ECONNRESET if pipe.short and error.errno == EPIPE else error.errno
            direction.relay.peer_gone(direction.sink, lost or ECONNRESET)
            return
        pipe.short = sent < pipe.filled
        pipe.filled -= sent
        direction.moved += sent
        moved += sent
        if direction.blocked and not pipe.filled:
            direction.unblock()
        if moved >= PIPE_BYTES and not direction.blocked:
            direction.again()
            return
    if not direction.over:
        # An idle direction holds no pipe.
        direction.leave_pipe(moved)


def _fill(direction: Direction, pipe: Pipe) -> bool:
    """Splice from the source into the empty pipe; tell whether there is something in it now."""
    source = direction.source
    if pipe.room < pipe.size:
        pipe.room = tcp.room(direction.sink.socket)
    most = SPARE if direction.relay.pipes.tight else min(pipe.size, pipe.room + SPARE)
    try:
        pipe.filled = os.splice(source.socket.fileno(), pipe.write_end, most, flags=_NON_BLOCKING)
    except BlockingIOError:
        # It stops before an urgent byte, too, be there whatever behind it: that is copied.
        if source.urgent:
            direction.again()
        else:
            source.readable = False
        return False
    except OSError as error:
        if error.errno in _NO_SPLICE:
            direction.relay.pipes.refuse()
            direction.again()
        else:
            direction.nothing_read(error)
        return False
    if pipe.filled == 0:
        # Before an urgent byte, too, if an end of stream is behind it.
        if urgent.is_next(source):
            direction.again()
        else:
            direction.relay.read_to_end(direction)
    pipe.room -= pipe.filled
    return pipe.filled > 0
