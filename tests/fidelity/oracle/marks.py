"""Urgent bytes as an end sends and meets them (RFC 6093, tcp(7))."""

from __future__ import annotations

import array
import fcntl
import select
import socket
import termios
from typing import TYPE_CHECKING

from oracle.trace import MARK, RECEIVED, SILENCE, UNMARKED
from oracle.watched import PATIENCE

if TYPE_CHECKING:
    from oracle.end import End

_SIOCATMARK = 0x8905  # asm-generic/sockios.h
_CHUNK_BYTES = 262144
_SOMETHING = select.POLLIN | select.POLLPRI | select.POLLRDHUP


def send_urgent(end: End) -> None:
    """Send the next byte as an urgent one."""
    while True:
        try:
            end.sent += end.connection.send(end._next(1), socket.MSG_OOB)
        except BlockingIOError:
            if not end._poll(select.POLLOUT, PATIENCE):
                end.stop("stuck sending")
        else:
            return


def read_to_mark(end: End, before: int) -> None:
    """Read up to the urgent byte, and that byte, be it in its place or apart; or see that there is none.

    There is none if the stream ends without one, or if there are more than *before* bytes where it should be.
    """
    start = end.received
    # Where a byte was taken apart, the mark stays until something behind it is read.
    while not _at_mark(end.connection) or end.received == end.taken_at:
        ready = end._poll(_SOMETHING, PATIENCE)
        if not ready:
            end._saw_bytes(RECEIVED)
            end.stop(SILENCE)
        waiting = end._queued(termios.FIONREAD)
        over = waiting == 0 if ready & select.POLLRDHUP else 0 < before < end.received - start + waiting
        if over and not end._poll(select.POLLPRI, 0):
            end.saw(UNMARKED)
            return
        # A read ends before a mark, but passes over one where it begins: what waited is before it if it is not there.
        if (waiting and not _at_mark(end.connection)) or end.received == end.taken_at:
            end._receive(_CHUNK_BYTES)
    if end.connection.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE):
        end._receive(1)
    else:
        _take(end)
    end._saw_bytes(MARK)


def _at_mark(sock: socket.socket) -> bool:
    answer = array.array("i", [0])
    fcntl.ioctl(sock, _SIOCATMARK, answer)
    return bool(answer[0])


def _take(end: End) -> None:
    """Take the urgent byte out of its place beside the stream."""
    if not end._poll(select.POLLPRI, PATIENCE):
        end.stop("announced, and never came")
    byte = end.connection.recv(1, socket.MSG_OOB)
    end.received += 1
    end.taken_at = end.received
    end._hash.update(byte)
