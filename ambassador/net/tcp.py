"""Ask the kernel about a TCP socket, and tune it (tcp(7), socket(7)). Only on Linux. Nothing here closes a socket."""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from typing import NamedTuple

# struct tcp_info, linux/tcp.h: eight bytes (state, ca_state, retransmits, probes, ...), then 32-bit words.
_TCP_INFO_BYTES = 104
_LAST_DATA_RECEIVED = 8 + 4 * 11
_TIMES = struct.Struct("=II")
# struct tcp_info, tcpi_min_rtt, in microseconds, since Linux 4.6. Nearer than this is the same machine or its switch.
_MIN_RTT = 148
_NEAR = 100
# linux/tcp.h, TCP_CA_NAME_MAX.
_NAME_BYTES = 16
# Keepalive (tcp(7)): after the idle time of the settings a probe every ten seconds, five times.
_PROBE_INTERVAL = 10
_PROBES = 5
# linux/tcp.h, since Linux 6.15: the longest pause between retransmissions, and between probes of a zero window, in
# milliseconds. It is two minutes otherwise, in which a stalled reader that died would go unnoticed.
_TCP_RTO_MAX_MS = 44
_LONGEST_BACKOFF = 10_000
# asm-generic/sockios.h; Python does not know it.
_SIOCATMARK = 0x8905
# asm-generic/socket.h and linux/sock_diag.h: how much memory a socket's queues take, and may take, in 32-bit words.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_SEND_LIMIT, _SEND_QUEUE = 3, 5
# struct linger, socket(7): close() sends a reset and discards the queue.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Silence(NamedTuple):
    """What TCP_INFO tells of the peer.

    Attributes:
        unanswered: retransmissions, or more than one probe (keepalive, zero window), are outstanding. One alone may be
            lost: towards a reader that stalls the next comes up to two minutes later, and is answered.
        heard: seconds since anything was heard of the peer, be it data or an acknowledgement.
    """

    unanswered: bool
    heard: float


def unacknowledged(sock: socket.SocketType) -> int:
    """Count the bytes in the send queue that the peer has not acknowledged (SIOCOUTQ, tcp(7)); our FIN counts one.

    Raises:
        OSError: the socket is closed.
    """
    # Linux gives SIOCOUTQ the number of the terminals' TIOCOUTQ, and SIOCINQ that of FIONREAD.
    return _asked(sock, termios.TIOCOUTQ)


def unread(sock: socket.SocketType) -> int:
    """Count the bytes in the receive queue (SIOCINQ, tcp(7)).

    Raises:
        OSError: the socket is closed.
    """
    return _asked(sock, termios.FIONREAD)


def at_mark(sock: socket.SocketType) -> bool:
    """Tell whether the next byte is the urgent one (SIOCATMARK, tcp(7)), be it here yet or only announced.

    Raises:
        OSError: the socket is closed.
    """
    return bool(_asked(sock, _SIOCATMARK))


def _asked(sock: socket.SocketType, request: int) -> int:
    answer = array.array("i", [0])
    fcntl.ioctl(sock, request, answer)
    return answer[0]


def silence(sock: socket.SocketType) -> Silence:
    """Ask TCP_INFO how long the peer has been silent, and whether it owes an answer.

    Raises:
        OSError: the socket is closed.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    data, acknowledgement = _TIMES.unpack_from(info, _LAST_DATA_RECEIVED)
    return Silence(unanswered=bool(info[2]) or info[3] > 1, heard=min(data, acknowledgement) / 1000)


def bound_backoff(sock: socket.SocketType) -> None:
    """Have the kernel ask a silent peer at least every ten seconds, where it supports that (Linux 6.15)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, _LONGEST_BACKOFF)


def set_keepalive(sock: socket.SocketType, idle: float) -> None:
    """Have the kernel probe the peer after *idle* seconds of silence, then every ten seconds, five times (tcp(7))."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(idle)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def delay_acknowledgement(sock: socket.SocketType) -> None:
    """Let the segment that ends the handshake of a coming connect() be the one with the first bytes: one less to send.

    `acknowledge` has to follow, for where there are none, or the peer's window is closed yet: the kernel would wait for
    200 ms (TCP_QUICKACK, tcp(7)). The flag is back to its default once the peer has answered.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


def acknowledge(sock: socket.SocketType) -> None:
    """Send the acknowledgement that is due, if no bytes have taken it along."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def room(sock: socket.SocketType) -> int:
    """Tell, rather too low, how many bytes a send queue takes now; 0 if the kernel does not say."""
    try:
        words = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
    except (OSError, struct.error):
        return 0
    return max(0, int(words[_SEND_LIMIT]) - int(words[_SEND_QUEUE]))


def stop_pacing(sock: socket.SocketType) -> None:
    """Let a bulk stream to a near peer go as fast as that one reads, where BBR would pace it.

    BBR spreads the segments of a stream over time (draft-ietf-ccwg-bbr, "Pacing Rate"), so that no queue grows in the
    network. Between neighbours there is no such queue: what is left of it is a timer and a reader to be woken for each
    segment, more than half of a bulk stream's CPU and time. Reno is what every user may choose
    (tcp_allowed_congestion_control), and on so short a way CUBIC does what Reno does (RFC 9438, section 4.3). Far
    peers keep what the system has chosen for them.
    """
    with contextlib.suppress(OSError):
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _NAME_BYTES).startswith(b"bbr"):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT + 4)
            if len(info) == _MIN_RTT + 4 and int.from_bytes(info[_MIN_RTT:], sys.byteorder) < _NEAR:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def reset_on_close(sock: socket.SocketType) -> None:
    """Make the coming close() a reset (RFC 9293, section 3.10.5), whatever is still queued."""
    # A socket that is gone already needs no reset.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def nothing_to_read(sock: socket.SocketType) -> bool:
    """Tell whether there is no byte to read from a stream."""
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
