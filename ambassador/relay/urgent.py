"""The urgent byte of a stream (RFC 6093, tcp(7)): passed on as one, so that whoever waits for a mark finds it.

What Linux does, and what is made of it:

- A stream has one mark at most. A newer one takes the place of the older, whose byte is from then on one of many. So
  who reads late misses marks, and so do we: they are passed on as far as they were there when their turn came.
- All our sockets read it in line (SO_OOBINLINE): it keeps its place, and no read loses it. A read ends before the mark,
  but one that begins there passes over it and says nothing. Who may stand at a mark asks first (SIOCATMARK).
- An event announces the mark (EPOLLPRI), and at that time there are bytes before it or the byte itself. So nobody has
  to ask between an event and the first read, nor after a short read, which waits for the next event; but after a read
  that filled the buffer, and after an urgent byte.
- splice(2) does not pass over it. A tunnel has no marks: there the byte is one of many.
"""

from __future__ import annotations

from socket import MSG_OOB
from typing import TYPE_CHECKING

from ambassador.net import tcp

if TYPE_CHECKING:
    from ambassador.relay.direction import Direction
    from ambassador.relay.leg import Leg


def is_next(leg: Leg) -> bool:
    """Tell whether the next byte is urgent, where a read may have ended just before it; the leg is *urgent* if so."""
    if not tcp.unread(leg.socket):
        # Whatever comes from now on comes with an event. Who looked for a mark only could not tell what comes next.
        leg.readable = leg.finishing
        return False
    leg.urgent = tcp.at_mark(leg.socket)
    return leg.urgent


def step(direction: Direction, buffer: memoryview) -> None:
    """Move what is before the urgent byte, or that byte alone, by way of the *buffer* that the direction reads into.

    One read a turn, so that a peer that sends nothing but urgent bytes takes no time from others.
    """
    source = direction.source
    if not source.readable:
        return
    at_mark = tcp.at_mark(source.socket)
    count = direction.read(1 if at_mark else len(buffer))
    if count < 0:
        return
    if count == 0:
        direction.relay.read_to_end(direction)
        return
    if at_mark:
        source.urgent = False
        is_next(source)
    sent = direction.send(buffer[:count], MSG_OOB if at_mark else 0)
    if sent >= 0:
        direction.moved += sent
        if source.readable and not direction.blocked:
            direction.again()
