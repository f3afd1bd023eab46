"""Events reach the socket that they are meant for, and no other."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from ambassador.net import poller as poller_module
from ambassador.net.poller import ENDED, IN, OUT, Poller
from tests.support.deadline import PATIENCE, soon
from tests.support.net import pair, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    """Return a poller on the running loop."""
    made = Poller(asyncio.get_running_loop())
    yield made
    made.shut_down()


async def all_told(poller: Poller) -> None:
    """Wait for an event that comes after all that have happened up to now: epoll(7) hands them out by their order."""
    ours, theirs = socket.socketpair()
    with theirs:
        masks: list[int] = []
        poller.register(ours, masks.append)
        await soon(lambda: masks)
        poller.close(ours)


def arrived(sock: socket.socket) -> None:
    """Wait until something has come to *sock*."""
    assert select.select([sock], [], [], PATIENCE)[0]


async def test_the_present_state_comes_first_and_then_each_change(poller: Poller) -> None:
    """A socket is told once that it is writable, and then again only when something changes."""
    ours, theirs = pair()
    masks: list[int] = []
    with theirs:
        poller.register(ours, masks.append)
        await soon(lambda: masks)
        assert masks == [OUT]
        theirs.sendall(b"x")
        await soon(lambda: len(masks) == 2)
        assert masks[1] & IN
        await all_told(poller)
        assert len(masks) == 2  # unread data is no news
        theirs.shutdown(socket.SHUT_WR)
        await soon(lambda: masks[-1] & ENDED)
        poller.close(ours)


async def test_a_reset_is_told_to_who_does_not_read(poller: Poller) -> None:
    """A reset comes as an event even while earlier data lies unread."""
    ours, theirs = pair()
    masks: list[int] = []
    poller.register(ours, masks.append)
    theirs.sendall(b"unread")
    await soon(lambda: masks and masks[-1] & IN)
    reset(theirs)
    await soon(lambda: masks[-1] & poller_module.ERROR)
    poller.close(ours)


async def test_an_event_of_the_same_turn_never_reaches_a_newer_socket(poller: Poller) -> None:
    """A socket closed by another's handler keeps its number until the turn is over, and hears nothing more."""
    first, first_peer = pair()
    second, second_peer = pair()
    heard: list[str] = []
    opened: list[socket.socket] = []
    reused: list[socket.socket] = []

    def close_other(mine: str, other: socket.socket) -> None:
        heard.append(mine)
        if len(heard) == 1:
            number = other.fileno()
            poller.close(other)
            while not opened or opened[-1].fileno() < number:  # past the gaps among the numbers
                opened.append(socket.socket())
            reused.extend(newcomer for newcomer in opened if newcomer.fileno() == number)
            for newcomer in opened:
                poller.register(newcomer, lambda _mask: heard.append("newcomer"))

    with first_peer, second_peer:
        # Both are writable, so both have an event in the very first turn.
        poller.register(first, lambda _mask: close_other("first", second))
        poller.register(second, lambda _mask: close_other("second", first))
        await soon(lambda: heard)
        await all_told(poller)
        assert reused == []
        assert len([name for name in heard if name != "newcomer"]) == 1
        assert sorted((first.fileno() == -1, second.fileno() == -1)) == [False, True]
        for sock in (first, second, *opened):
            if sock.fileno() != -1:
                poller.close(sock)


async def test_a_muted_socket_tells_of_its_end_but_not_of_bytes(poller: Poller) -> None:
    """While muted, bytes are no event and an end of stream is; unmuted, the socket tells once of what is there."""
    ours, theirs = pair()
    masks: list[int] = []
    with ours, theirs:
        poller.register(ours, masks.append)
        await soon(lambda: masks)
        poller.mute(ours)
        await all_told(poller)
        masks.clear()
        theirs.sendall(b"x")
        arrived(ours)
        await all_told(poller)
        assert masks == []
        poller.unmute(ours)
        await soon(lambda: masks)
        assert masks[-1] & IN
        poller.mute(ours)
        theirs.shutdown(socket.SHUT_WR)
        await soon(lambda: masks[-1] & ENDED)
        poller.close(ours)


async def test_an_unregistered_socket_is_silent_and_stays_open(poller: Poller) -> None:
    """A socket that is unregistered has no more events, and belongs to its owner again."""
    ours, theirs = pair()
    masks: list[int] = []
    with ours, theirs:
        poller.register(ours, masks.append)
        await soon(lambda: masks)
        poller.unregister(ours)
        masks.clear()
        theirs.sendall(b"x")
        arrived(ours)
        await all_told(poller)
        assert masks == []
        assert ours.recv(1) == b"x"


async def test_a_new_handler_takes_over(poller: Poller) -> None:
    """After a change of handlers the old one hears nothing, and the new one is told only of what is new."""
    ours, theirs = pair()
    old: list[int] = []
    new: list[int] = []
    with theirs:
        poller.register(ours, old.append)
        await soon(lambda: old)
        poller.set_handler(ours, new.append)
        await all_told(poller)
        assert new == []
        theirs.sendall(b"x")
        await soon(lambda: new)
        assert len(old) == 1
        poller.close(ours)


async def test_a_handler_that_fails_leaves_the_others_at_work(poller: Poller) -> None:
    """An error that a handler lets out reaches the loop's handler of exceptions, and later events still come."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context.get("exception")))
    ours, theirs = pair()
    masks: list[int] = []

    def fail_once(mask: int) -> None:
        masks.append(mask)
        if len(masks) == 1:
            raise LookupError("broken on purpose")

    with theirs:
        poller.register(ours, fail_once)
        await soon(lambda: masks)
        theirs.sendall(b"x")
        await soon(lambda: len(masks) == 2)
        assert [type(error) for error in told] == [LookupError]
        poller.close(ours)


async def test_work_put_off_is_done_in_a_later_turn_and_once(poller: Poller) -> None:
    """What a handler puts off runs once, in order, and work that puts itself off does not starve the loop."""
    done: list[str] = []

    def again() -> None:
        done.append("again")
        if len(done) < 50:
            poller.call_next_turn(again)

    poller.call_next_turn(lambda: done.append("first"))
    poller.call_next_turn(again)
    assert done == []
    turns = 0
    while len(done) < 50:
        turns += 1
        await asyncio.sleep(0)
    assert done[:2] == ["first", "again"]
    assert turns >= 20


async def test_who_is_last_comes_behind_every_event_that_is_there(poller: Poller) -> None:
    """Work for a turn's end, asked for anew each time, is done once a turn, and behind what came to sockets before."""
    done: list[str] = []
    ours, theirs = socket.socketpair()

    def last() -> None:
        done.append("last")
        if len(done) < 20:
            theirs.sendall(b"x")
            poller.call_last(last)

    with ours, theirs:
        poller.register(ours, lambda mask: done.append("event") if mask & IN else None)
        poller.call_last(last)
        await soon(lambda: len(done) >= 20)
    assert done[:20] == ["last", "event"] * 10


async def test_last_work_that_fails_is_told_and_ends_the_turn(poller: Poller) -> None:
    """A fault in the work at a turn's end reaches the event loop, and sockets that were to be closed are closed."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    fault = ValueError("ours")
    ours, theirs = socket.socketpair()

    def fail() -> None:
        poller.close(ours)
        raise fault

    with theirs:
        poller.register(ours, lambda _mask: None)
        poller.call_last(fail)
        await soon(lambda: ours.fileno() == -1)
    assert told == [fault]


async def test_work_for_the_next_turn_that_fails_keeps_no_other_from_its_own(poller: Poller) -> None:
    """When work of a turn raises, the rest of the turn's work is done all the same, and the event loop is told."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    fault = ValueError("ours")
    done: list[str] = []

    def fail() -> None:
        raise fault

    poller.call_next_turn(fail)
    poller.call_next_turn(lambda: done.append("after"))
    await soon(lambda: done)
    assert told == [fault]


async def test_more_events_than_a_turn_takes_all_come(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more sockets ready than a turn hands out, each is told in one of the next turns."""
    monkeypatch.setattr(poller_module, "_EVENTS_PER_TURN", 4)
    told: set[int] = set()
    pairs = [socket.socketpair() for _ in range(50)]
    for number, (ours, _) in enumerate(pairs):
        poller.register(ours, lambda _mask, number=number: told.add(number))  # type: ignore[misc]  # a default
    await soon(lambda: len(told) == 50)
    for ours, theirs in pairs:
        poller.close(ours)
        theirs.close()


def test_a_poller_leaves_no_descriptor() -> None:
    """A poller that is shut down has closed what it opened."""

    async def use() -> None:
        Poller(asyncio.get_running_loop()).shut_down()

    asyncio.run(use())
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(use())
    assert len(os.listdir("/proc/self/fd")) == before
