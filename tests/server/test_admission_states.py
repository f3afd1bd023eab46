"""Whatever clients send before they are admitted, each is admitted or refused once, in time, and loses no byte."""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ambassador.metrics import End
from ambassador.net.address import Address
from ambassador.net.deadlines import TICK, Deadlines
from ambassador.net.poller import Poller
from ambassador.net.proxy_protocol import Header, ProxyHeaderError, decode, encode
from ambassador.net.tcp import reset_on_close
from ambassador.relay import Leg
from ambassador.server.admission import Gate
from ambassador.server.pending import Pending
from ambassador.server.strangers import Strangers
from tests.support.clock import FakeClock
from tests.support.deadline import eventually
from tests.support.net import LOCAL, final_error, pair, reset, unread, wait_for_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from ambassador.server.admission import Admission

    Answer = Header | tuple[End, str]

pytestmark = pytest.mark.timeout(400)  # hypothesis makes what it finds short, for five minutes at most

_MOST = 4
_PLACES, _MOST_WITH_SILENT = 9, 6
_TIMEOUT = 2.0
# Sums of the clock's times are not exact.
_ROUNDING = 1e-6
_V4, _V6, _SERVER = Address("192.0.2.7", 50000), Address("2001:db8::7", 50000), Address("198.51.100.1", 6379)
_BINARY = encode("v2", _V4, _SERVER)
# Some bytes, or all there are.
_COUNTS = st.integers(1, 40) | st.just(5000)
_BEGINNINGS = [
    encode("v1", _V4, _SERVER),
    encode("v1", _V6, _V6),
    encode("v1", None, None),
    _BINARY,
    encode("v2", _V6, _V6),
    encode("v2", None, None),
    _BINARY[:15] + bytes([_BINARY[15] + 5]) + _BINARY[16:] + b"\x04\0\x02no",  # with a field of padding
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY " + b"x" * 200,
    _BINARY[:12] + b"\x31" + _BINARY[13:],  # of version 3
    _BINARY[:14] + b"\xff\xff",  # 64 KiB long
    b"GET / HTTP/1.1\r\n\r\n",
]


class Client:
    """A client that is to be admitted, with the sockets of both sides."""

    def __init__(self, machine: AdmissionMachine, stream: bytes) -> None:
        self.machine = machine
        self.ours, self.theirs = pair()
        self.ours.setblocking(False)  # noqa: FBT003 - the name of it
        self.leg = Leg(self.ours)
        self.deadline = machine.clock.time() + _TIMEOUT
        self.stream = stream
        self.sent = 0
        self.ended = self.gone = self.cancelled = False
        self.heard = False  # the poller has told of its first bytes
        self.late = False
        self.answers: list[Answer] = []
        self.expected: list[Answer] = []
        admission = machine.gate.admission(self.leg, LOCAL, self)
        assert admission is not None
        self.admission: Admission = admission

    @property
    def pending(self) -> bool:
        """Tell whether an answer is to come, as the test sees it."""
        return not self.expected and not self.cancelled

    @property
    def header(self) -> Header | None:
        """What it was admitted with; None as long as it was not."""
        return self.answers[0] if self.answers and isinstance(self.answers[0], Header) else None

    def __repr__(self) -> str:
        """Be told apart in what hypothesis prints."""
        return f"client {self.machine.clients.index(self)}"

    def admitted(self, header: Header | None, early: bytes) -> None:
        """Take over, as a connection does."""
        assert header is not None
        assert early == b""
        self.answers.append(header)
        self.machine.poller.set_handler(self.ours, self.leg.note)

    def refused(self, end: End, error: str) -> None:
        """Reset the client, as a connection does."""
        self.answers.append((end, error))
        self.hang_up()

    def hang_up(self) -> None:
        """Reset the client."""
        reset_on_close(self.ours)
        self.machine.poller.close(self.ours)

    def send(self, count: int) -> None:
        """Send the next bytes, and wait until they are here."""
        self.theirs.sendall(self.stream[self.sent : self.sent + count])
        self.sent = min(self.sent + count, len(self.stream))
        left = self.sent - (self.header.size if self.header is not None else 0)
        eventually(lambda: unread(self.ours) == left)

    def look(self) -> None:
        """Expect what the events up to now have to lead to."""
        if not self.pending:
            return
        if self.late:
            self.expected.append((End.BAD_PROXY_HEADER, "not done in time"))
            return
        try:
            header = decode(self.stream[: self.sent])
        except ProxyHeaderError as error:
            self.expected.append((End.BAD_PROXY_HEADER, str(error)))
            return
        if header is not None:
            self.expected.append((End.CLIENT_GONE, "") if self.gone else header)
        elif self.ended or self.gone:
            self.expected.append((End.BAD_PROXY_HEADER, "the connection ended within the header"))


class AdmissionMachine(RuleBasedStateMachine):
    """Clients at a gate that requires PROXY headers, on real sockets and by the test's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.poller = Poller(self.loop)
        self.clock = FakeClock()
        self.deadlines = Deadlines(self.clock)
        self.gate = Gate(
            allow=(), proxy_from=(ipaddress.ip_network("127.0.0.0/8"),), credentials=None, timeout=_TIMEOUT,
            clock=self.clock, deadlines=self.deadlines,
            pending=Pending(_MOST, SimpleNamespace(limit=_PLACES, live=self)),  # type: ignore[arg-type]  # as much as it asks for
            strangers=Strangers(self.poller, enough=_MOST, clock=lambda: 0.0),
        )  # fmt: skip
        self.clients: list[Client] = []

    def __len__(self) -> int:
        """Count those who hold a place: none but those who are pending."""
        return len(self.which(lambda client: client.pending))

    def which(self, fact: Callable[[Client], object]) -> list[Client]:
        """Return the clients of whom this is true."""
        return [client for client in self.clients if fact(client)]

    def sending(self) -> list[Client]:
        """Return the clients that have not ended, and that were not refused."""
        return self.which(lambda client: not client.ended and not client.gone and (client.pending or client.header))

    @rule(
        beginning=st.sampled_from(_BEGINNINGS), payload=st.sampled_from([b"", b"question", b"q" * 3000]), count=_COUNTS
    )
    def begin(self, beginning: bytes, payload: bytes, count: int) -> None:
        """A client comes; when there are too many, the oldest that was not heard goes, or else the oldest."""
        client = Client(self, beginning + payload)
        self.clients.append(client)
        pending = self.which(lambda client: client.pending)
        if len(pending) > _MOST_WITH_SILENT:
            silent = [other for other in pending if not other.heard]
            self.crowds_out(silent if len(silent) > 1 else pending)
        self.poller.register(client.ours, client.admission.on_events)
        client.admission.start()
        client.send(count)

    @precondition(lambda self: self.sending())
    @rule(data=st.data(), count=_COUNTS, turn=st.booleans())
    def send(self, data: st.DataObject, count: int, turn: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """A client sends some more."""
        data.draw(st.sampled_from(self.sending())).send(count)
        if turn:
            self.turn()

    @precondition(lambda self: self.sending())
    @rule(data=st.data(), count=st.just(0) | _COUNTS, gone=st.booleans())
    def end(self, data: st.DataObject, count: int, gone: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        """A client ends its stream or resets its connection, perhaps right behind its last bytes."""
        client = data.draw(st.sampled_from(self.sending()))
        client.send(count)
        if gone:
            reset(client.theirs)
            client.gone = True
            wait_for_event(client.ours, select.POLLHUP)
        else:
            client.theirs.shutdown(socket.SHUT_WR)
            client.ended = True
            wait_for_event(client.ours, select.POLLRDHUP)

    @precondition(lambda self: self.which(lambda client: client.pending))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A client is cut, for a reason of the process's."""
        client = data.draw(st.sampled_from(self.which(lambda client: client.pending)))
        client.cancelled = True
        client.admission.cancel()
        client.hang_up()

    def crowds_out(self, clients: list[Client]) -> None:
        """Expect the first of them to be refused."""
        clients[0].expected.append((End.BAD_PROXY_HEADER, "too many others wait to be admitted"))

    @rule()
    def turn(self) -> None:
        """The event loop turns once, and so every socket's news is told; of too many who are heard the oldest goes."""
        for client in self.which(lambda client: client.pending and not client.heard):
            client.heard = True
            heard = self.which(lambda client: client.pending and client.heard)
            if len(heard) > _MOST:
                self.crowds_out(heard)
        for client in self.clients:
            client.look()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    @rule(seconds=st.sampled_from([0.02, 0.06, 0.3, 1.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; who takes too long is refused, in the turn after the next tick."""
        self.clock.advance(seconds)
        now = self.clock.time()
        for client in self.which(lambda client: client.pending and client.deadline <= now + _ROUNDING):
            if client.admission._late or now > client.deadline + TICK + _ROUNDING:
                client.late = True
        self.turn()

    @invariant()
    def answers_are_right(self) -> None:
        """Each client has the one answer that it should have, or none yet."""
        assert [client.answers for client in self.clients] == [client.expected for client in self.clients]

    def held(self, *, heard: bool) -> set[object]:
        """Return the admissions that the gate holds of one class."""
        pending = self.gate._pending
        members = (pending._speaking if heard else pending._silent)._networks.values()
        return {admission for network in members for admission in network}

    @invariant()
    def the_gate_holds_who_is_pending(self) -> None:
        """The gate holds those who have no answer, never too many, and each has its deadline, and nobody else has."""
        pending = self.which(lambda client: client.pending)
        assert len(pending) <= _MOST_WITH_SILENT
        assert self.held(heard=True) == {client.admission for client in pending if client.heard}
        assert self.held(heard=False) == {client.admission for client in pending if not client.heard}
        assert len(self.held(heard=True)) <= _MOST
        assert self.deadlines._when == {client.admission: client.deadline for client in pending}

    @invariant()
    def what_follows_a_header_is_for_the_relay(self) -> None:
        """All that a client sent behind its header is there to be read, and nothing of the header."""
        for client in self.which(lambda client: not client.gone):
            if client.header is not None:
                follows = client.stream[client.header.size : client.sent]
                assert unread(client.ours) == len(follows)
                assert not follows or client.ours.recv(1 << 16, socket.MSG_PEEK) == follows

    def teardown(self) -> None:
        """In the end nobody is pending, who was refused has met a reset, and nothing ticks."""
        try:
            self.wait(_TIMEOUT + 2 * TICK)
            self.answers_are_right()
            self.the_gate_holds_who_is_pending()
            assert self.held(heard=True) | self.held(heard=False) == set()
            assert self.clock.timers == []
            for client in self.which(lambda client: not client.header and not client.gone):
                assert final_error(client.theirs) is ConnectionResetError
        finally:
            for client in self.clients:
                if not client.gone:
                    reset(client.theirs)
                client.ours.close()
            self.poller.shut_down()
            self.loop.close()


test_clients_at_one_gate = AdmissionMachine.TestCase
AdmissionMachine.TestCase.settings = hypothesis.settings(max_examples=50, stateful_step_count=40)
