"""Look-ups beside the event loop, where threads are short."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from ambassador.upstream import helper as helper_module
from ambassador.upstream import lookups as lookups_module
from ambassador.upstream.lookups import Lookups
from tests.support.deadline import soon

if TYPE_CHECKING:
    from collections.abc import Iterator

Answers = list[tuple[tuple[str, ...], str | None]]


@contextlib.contextmanager
def looking_up(*, alone: bool = True) -> Iterator[Lookups]:
    """Give look-ups on the running event loop."""
    with contextlib.closing(Lookups(asyncio.get_running_loop(), alone=alone)) as lookups:
        yield lookups


async def look_up(lookups: Lookups, name: str) -> tuple[tuple[str, ...], str | None]:
    """Return the answer for *name*."""
    answers: Answers = []
    lookups.start(name, lambda found, reason: answers.append((found, reason)))
    assert answers == []  # never before it returns
    await soon(lambda: answers)
    return answers[0]


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Refuse every thread."""

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield


async def test_where_threads_can_be_had_there_is_no_helper() -> None:
    """The look whether threads can be had leaves none, and no process is started."""
    with looking_up() as lookups:
        before = threading.active_count()
        lookups.prepare()
        assert threading.active_count() == before
        assert await look_up(lookups, "127.0.0.1") == (("127.0.0.1",), None)
        assert lookups._helper is None


async def test_threads_that_run_out_later_are_made_up_for() -> None:
    """When no thread can be had any more, a helper is started then, and says what a thread would have said."""
    with looking_up() as lookups:
        lookups.prepare()
        unknown = await look_up(lookups, "nowhere.invalid")
        with no_threads():
            assert await look_up(lookups, "127.0.0.1") == (("127.0.0.1",), None)
            assert await look_up(lookups, "nowhere.invalid") == unknown
        assert unknown[0] == ()
        assert unknown[1]


async def test_what_neither_can_do_now_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for a thread or a process the answer says so, and the next look-up tries anew."""

    def refuse() -> NoReturn:
        raise BlockingIOError("Resource temporarily unavailable")

    with looking_up() as lookups:
        with no_threads(), monkeypatch.context() as patch:
            patch.setattr(helper_module, "spawn", refuse)
            lookups.prepare()
            found, reason = await look_up(lookups, "127.0.0.1")
            assert found == ()
            assert reason is not None
            assert "pids limit" in reason
        assert await look_up(lookups, "127.0.0.1") == (("127.0.0.1",), None)


async def test_a_worker_leaves_the_room_of_an_idle_helper_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's helper ends soon after its last answer, and another is started when it is needed; alone it stays."""
    monkeypatch.setattr(lookups_module, "_LEND", 0.01)
    with no_threads(), looking_up(alone=False) as lookups, looking_up() as alone:
        alone.prepare()
        for _ in range(2):
            assert await look_up(lookups, "127.0.0.1") == (("127.0.0.1",), None)
            helper = lookups._helper
            assert helper is not None
            await soon(functools.partial(getattr, helper, "closed"))
            with pytest.raises(ProcessLookupError):
                os.kill(helper.pid, 0)
        assert alone._helper is not None
        assert not alone._helper.closed


async def test_whoever_waits_for_a_helper_that_dies_is_told() -> None:
    """When the helper is killed in the middle of a look-up, those who wait get an answer that says so."""
    with no_threads(), looking_up() as lookups:
        lookups.prepare()
        assert lookups._helper is not None
        os.kill(lookups._helper.pid, signal.SIGSTOP)
        answers: Answers = []
        lookups.start("127.0.0.1", lambda found, reason: answers.append((found, reason)))
        os.kill(lookups._helper.pid, signal.SIGKILL)
        await soon(lambda: answers)
        assert answers == [((), "the process that looks names up has ended")]
        assert await look_up(lookups, "127.0.0.1") == (("127.0.0.1",), None)
