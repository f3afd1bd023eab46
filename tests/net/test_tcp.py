"""What the kernel knows of a TCP socket."""

from __future__ import annotations

import contextlib
import random
import socket
import struct

import pytest

from ambassador.net import tcp
from tests.support.deadline import eventually
from tests.support.net import exactly, pair


def test_bytes_that_the_peer_has_not_taken_are_unsent() -> None:
    """The send queue of a stalled peer is counted in full, and is empty once the peer has read."""
    ours, theirs = pair()
    with ours, theirs:
        assert tcp.unacknowledged(ours) == 0
        ours.setblocking(False)  # noqa: FBT003 - the name of it
        total = 0
        try:
            while True:
                total += ours.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        assert 0 < tcp.unacknowledged(ours) <= total
        while total:
            total -= len(theirs.recv(1 << 16))
        eventually(lambda: tcp.unacknowledged(ours) == 0)


def test_the_mark_is_where_the_urgent_byte_is() -> None:
    """What is unread is counted with the urgent byte, and the mark is told only where that byte is next."""
    ours, theirs = pair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        ours.sendall(b"ab")
        ours.send(b"!", socket.MSG_OOB)
        ours.sendall(b"cd")
        eventually(lambda: tcp.unread(theirs) == 5)
        assert not tcp.at_mark(theirs)
        assert theirs.recv(5) == b"ab"
        assert tcp.at_mark(theirs)
        assert theirs.recv(1) == b"!"
        assert not tcp.at_mark(theirs)
        assert tcp.unread(theirs) == 2


def test_a_live_peer_owes_no_answer() -> None:
    """A peer whose kernel acknowledges owes nothing, even while its application stalls."""
    ours, theirs = pair()
    with ours, theirs:
        ours.sendall(b"x")
        eventually(lambda: not tcp.silence(ours).unanswered)
        assert tcp.silence(ours).heard < 60


class Told:
    """A socket whose kernel says what the test tells it to."""

    def __init__(self, *, retransmits: int, probes: int, data: int, acknowledgement: int) -> None:
        words = [0] * 24
        words[11], words[12] = data, acknowledgement
        self._info = struct.pack("=8B24I", 1, 0, retransmits, probes, 0, 0, 0, 0, *words)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Return the faked TCP_INFO."""
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return self._info[:size]


@pytest.mark.parametrize(
    ("retransmits", "probes", "unanswered"), [(0, 0, False), (1, 0, True), (0, 1, False), (0, 2, True), (4, 2, True)]
)
def test_retransmissions_and_probes_ask_for_an_answer(retransmits: int, probes: int, *, unanswered: bool) -> None:
    """A retransmission or two probes that are outstanding mean that the peer owes an answer; one may be lost."""
    told = Told(retransmits=retransmits, probes=probes, data=90_000, acknowledgement=70_000)
    assert tcp.silence(told) == (unanswered, 70.0)  # type: ignore[arg-type]  # a fake has only what is asked


def test_the_last_word_counts_be_it_data_or_acknowledgement() -> None:
    """Silence is measured from whatever was heard last."""
    told = Told(retransmits=1, probes=0, data=1500, acknowledgement=99_000)
    assert tcp.silence(told).heard == 1.5  # type: ignore[arg-type]  # a fake has only what is asked


def test_keepalive_is_as_documented() -> None:
    """Keepalive begins after the idle time given, then probes every ten seconds, five times."""
    with socket.socket() as sock:
        tcp.set_keepalive(sock, 60.4)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 10, 5]
        tcp.set_keepalive(sock, 1.0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1


def test_backoff_is_bounded_where_the_kernel_can() -> None:
    """Retransmissions and probes come at least every ten seconds, and a kernel that cannot do that is no error."""
    with socket.socket() as sock:
        tcp.bound_backoff(sock)
        try:
            longest = sock.getsockopt(socket.IPPROTO_TCP, tcp._TCP_RTO_MAX_MS)
        except OSError:
            return
        assert longest == 10_000


class Peer:
    """A socket with a congestion control, so far from its peer, that keeps what is chosen instead."""

    def __init__(self, name: bytes, nearest: int, *, told: int = 152) -> None:
        self._name = name.ljust(16, b"\0")
        self._info = struct.pack("=148xI80x", nearest)[:told]
        self.chosen: list[bytes] = []

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Return the name, or the faked TCP_INFO."""
        assert level == socket.IPPROTO_TCP
        return {socket.TCP_CONGESTION: self._name, socket.TCP_INFO: self._info}[option][:size]

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Keep the choice."""
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_CONGESTION)
        self.chosen.append(value)


@pytest.mark.parametrize(
    ("peer", "chosen"),
    [
        (Peer(b"bbr", 12), [b"reno"]),
        (Peer(b"bbr2", 99), [b"reno"]),
        (Peer(b"bbr", 100), []),  # as far as a network
        (Peer(b"bbr", 4_294_967_295), []),  # nothing measured yet
        (Peer(b"cubic", 12), []),  # does not pace
        (Peer(b"bbr", 12, told=104), []),  # a kernel that does not say how far
    ],
)
def test_only_a_near_peer_is_taken_out_of_pacing(peer: Peer, chosen: list[bytes]) -> None:
    """Where BBR would pace a stream to a near peer, Reno takes over; far peers and other choices are left alone."""
    tcp.stop_pacing(peer)  # type: ignore[arg-type]  # a fake has only what is asked
    assert peer.chosen == chosen


def test_a_kernel_that_refuses_the_choice_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reno may be forbidden (tcp_allowed_congestion_control): the stream goes on as it was."""
    peer = Peer(b"bbr", 12)
    asked: list[object] = []

    def refuse(_level: int, _option: int, value: bytes) -> None:
        asked.append(value)
        raise PermissionError

    monkeypatch.setattr(peer, "setsockopt", refuse)
    tcp.stop_pacing(peer)  # type: ignore[arg-type]  # a fake has only what is asked
    assert asked == [b"reno"]


def test_a_neighbour_of_ours_is_near_and_nothing_is_lost_at_the_change() -> None:
    """On this kernel a connection within the machine leaves BBR amid a stream, which arrives whole."""
    ours, theirs = pair()
    with ours, theirs:
        with contextlib.suppress(OSError):  # a kernel without BBR keeps its own
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        data = random.Random(7).randbytes(1 << 20)  # noqa: S311 - data, no secret
        for start in range(0, len(data), 1 << 16):
            ours.sendall(data[start : start + (1 << 16)])
            tcp.stop_pacing(ours)
            assert exactly(theirs, 1 << 16) == data[start : start + (1 << 16)]
        assert not ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).startswith(b"bbr")
