"""The pool of pipes."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from ambassador.relay import pipes as pipes_module
from ambassador.relay.pipes import PIPE_BYTES, Pipes

if TYPE_CHECKING:
    from collections.abc import Iterator


def descriptors() -> int:
    """Count the open files of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def no_leak() -> Iterator[None]:
    """Have every test close what it opened."""
    before = descriptors()
    yield
    assert descriptors() == before


def test_a_pipe_is_lent_again_and_no_more_than_the_limit() -> None:
    """The pool lends as many pipes as it may, then none, and what comes back is lent again."""
    pool = Pipes(2)
    first, second = pool.take(), pool.take()
    assert first is not None
    assert second is not None
    assert pool.take() is None
    assert pool.lent == 2
    pool.give_back(first)
    assert pool.take() is first
    pool.give_back(first)
    pool.give_back(second)
    assert pool.lent == 0
    pool.close()


def test_a_pipe_with_bytes_in_it_is_closed() -> None:
    """A pipe that comes back filled is never lent again."""
    pool = Pipes(1)
    pipe = pool.take()
    assert pipe is not None
    pipe.filled = os.write(pipe.write_end, b"leftover")
    pool.give_back(pipe)
    another = pool.take()
    assert another is not None
    assert another is not pipe
    pool.give_back(another)
    pool.close()


def test_a_pipe_holds_what_a_turn_moves() -> None:
    """A pipe that is lent can hold as much as it says."""
    pool = Pipes(1)
    pipe = pool.take()
    assert pipe is not None
    assert pipe.size >= PIPE_BYTES
    assert os.write(pipe.write_end, bytes(pipe.size)) == pipe.size
    pipe.filled = pipe.size
    pool.give_back(pipe)
    pool.close()


def test_pipes_too_small_to_help_are_not_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel gives pipes of a page only, none is lent, and it is not asked again and again."""
    asked = []

    def fcntl_of_a_poor_user(_fd: int, command: int, _argument: int = 0) -> int:
        asked.append(command)
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError
        return 4096

    monkeypatch.setattr(fcntl, "fcntl", fcntl_of_a_poor_user)
    pool = Pipes(8)
    assert pool.take() is None
    assert pool.take() is None
    assert asked.count(fcntl.F_SETPIPE_SZ) == 1


def test_out_of_descriptors_no_pipe_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that cannot be made is no error: the direction goes on copying."""

    def no_more(_flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", no_more)
    assert Pipes(8).take() is None


def test_a_pool_that_refuses_lends_nothing_more() -> None:
    """Once splicing is given up, idle pipes are closed and none is lent."""
    pool = Pipes(4)
    first, second = pool.take(), pool.take()
    assert first is not None
    assert second is not None
    pool.give_back(first)
    pool.refuse()
    assert pool.take() is None
    pool.give_back(second)
    assert pool.take() is None


def test_a_shortage_of_pipes_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that could not be made once is asked for again a while later."""
    monkeypatch.setattr(pipes_module, "_useful_pipe", lambda: None)
    pool = Pipes(4)
    assert pool.take() is None
    monkeypatch.undo()
    assert pool.take() is None
    monkeypatch.setattr(pool, "_ask_again", 0.0)
    pipe = pool.take()
    assert pipe is not None
    pool.give_back(pipe)
    pool.close()
