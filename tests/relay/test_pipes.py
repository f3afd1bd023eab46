"""The pool of pipes."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.relay import pipes as pipes_module
from ambassador.relay.pipes import PIPE_BYTES, Pipe, Pipes, share_of_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stuck:
    """Holds a pipe, which its sink takes nothing out of, and leaves it when it is asked."""

    def __init__(self, pool: Pipes) -> None:
        self.blocked = True
        self.moved = 0
        self.pool = pool
        self.held = b""

    def hold_what_is_in(self, pipe: Pipe) -> None:
        """Take the bytes out of the pipe, and give it back."""
        self.held = pipe.take_out()
        self.pool.give_back(pipe)


BORROWER = Stuck(Pipes(0))


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
    first, second = pool.take(BORROWER), pool.take(BORROWER)
    assert first is not None
    assert second is not None
    assert pool.take(BORROWER) is None
    assert pool.lent == 2
    pool.give_back(first)
    assert pool.take(BORROWER) is first
    pool.give_back(first)
    pool.give_back(second)
    assert pool.lent == 0
    pool.close()


def test_a_pipe_with_bytes_in_it_is_closed() -> None:
    """A pipe that comes back filled is never lent again."""
    pool = Pipes(1)
    pipe = pool.take(BORROWER)
    assert pipe is not None
    pipe.filled = os.write(pipe.write_end, b"leftover")
    pool.give_back(pipe)
    another = pool.take(BORROWER)
    assert another is not None
    assert another is not pipe
    pool.give_back(another)
    pool.close()


def test_a_pipe_holds_what_a_turn_moves() -> None:
    """A pipe that is lent can hold as much as it says."""
    pool = Pipes(1)
    pipe = pool.take(BORROWER)
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
    assert pool.take(BORROWER) is None
    assert pool.take(BORROWER) is None
    assert asked.count(fcntl.F_SETPIPE_SZ) == 1


def test_out_of_descriptors_no_pipe_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that cannot be made is no error: the direction goes on copying."""

    def no_more(_flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", no_more)
    assert Pipes(8).take(BORROWER) is None


def test_a_pool_that_refuses_lends_nothing_more() -> None:
    """Once splicing is given up, idle pipes are closed and none is lent."""
    pool = Pipes(4)
    first, second = pool.take(BORROWER), pool.take(BORROWER)
    assert first is not None
    assert second is not None
    pool.give_back(first)
    pool.refuse()
    assert pool.take(BORROWER) is None
    pool.give_back(second)
    assert pool.take(BORROWER) is None


def test_a_shortage_of_pipes_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that could not be made once is asked for again a while later."""
    monkeypatch.setattr(pipes_module, "_useful_pipe", lambda: None)
    pool = Pipes(4)
    assert pool.take(BORROWER) is None
    monkeypatch.undo()
    assert pool.take(BORROWER) is None
    monkeypatch.setattr(pool, "_ask_again", 0.0)
    pipe = pool.take(BORROWER)
    assert pipe is not None
    pool.give_back(pipe)
    pool.close()


def stuck(pool: Pipes, data: bytes) -> Stuck:
    """Lend a pipe to a borrower whose sink does not take *data*, which is in it."""
    borrower = Stuck(pool)
    pipe = pool.take(borrower)
    assert pipe is not None
    pipe.filled = os.write(pipe.write_end, data)
    return borrower


def test_a_pipe_that_is_stuck_is_asked_for_at_the_second_sweep() -> None:
    """A pipe whose borrower is blocked at two sweeps in a row comes back empty, and its bytes are held elsewhere."""
    pool = Pipes(1)
    borrower = stuck(pool, b"left" * 30_000)
    pool.sweep()
    assert pool.lent == 1
    pool.sweep()
    assert borrower.held == b"left" * 30_000
    assert pool.lent == 0
    another = pool.take(borrower)
    assert another is not None
    assert another.filled == another.room == 0
    pool.sweep()
    assert pool.lent == 1, "the next borrower has its second, too"
    pool.give_back(another)
    pool.close()


def test_a_pipe_that_trickles_is_asked_for_and_one_that_is_of_use_is_not() -> None:
    """Less than a full pipe between two sweeps does not keep it; a full one does, and so does a moment unblocked."""
    pool = Pipes(3)
    trickling, moving, unblocked = (stuck(pool, b"left") for _ in range(3))
    pool.sweep()
    trickling.moved += PIPE_BYTES - 1
    moving.moved += PIPE_BYTES
    unblocked.blocked = False
    pool.sweep()
    unblocked.blocked = True
    moving.moved += PIPE_BYTES
    pool.sweep()
    assert (trickling.held, moving.held, unblocked.held) == (b"left", b"", b"")
    pool.sweep()
    assert (moving.held, unblocked.held) == (b"left", b"left")
    assert pool.lent == 0
    pool.close()


def test_what_is_too_much_to_hold_stays_in_its_pipe() -> None:
    """Bytes beyond what a connection may hold leave no pipe, until they are fewer, and others are to have less."""
    pool = Pipes(1)
    borrower = stuck(pool, bytes(128 * 1024 + 1))
    for _ in range(3):
        pool.sweep()
    assert pool.lent == 1
    assert pool.tight
    (pipe,) = pool._lent
    pipe.filled -= len(os.read(pipe.read_end, 1))
    pool.sweep()
    assert borrower.held == bytes(128 * 1024)
    assert not pool.tight
    pool.close()


@pytest.mark.parametrize(
    ("pages", "processes", "pipes"),
    [
        ("16384", 1, 64),
        ("16384", 2, 32),
        ("16384", 99, 0),
        ("255", 1, 0),
        ("0", 1, sys.maxsize),
        ("?", 1, sys.maxsize),
    ],
)
def test_pipes_take_no_more_than_half_of_what_the_user_may_have(
    pages: str, processes: int, pipes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes together stay within half of the user's pages; a kernel without such a limit sets none."""
    file = tmp_path / "pipe-user-pages-soft"
    file.write_text(f"{pages}\n", encoding="ascii")
    monkeypatch.setattr(pipes_module, "_USER_PAGES", file)
    monkeypatch.setattr(mmap, "PAGESIZE", 4096)
    assert share_of_user(processes) == pipes
    file.unlink()
    assert share_of_user(processes) == sys.maxsize
