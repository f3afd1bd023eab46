"""Lines that standard error does not take: each is lost whole, counted, and told of as soon as that is possible."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

from ambassador import log
from ambassador.log import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer than what a worker writes at once is two of them.
LONG = "x" * 3000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe, of which a test may close one."""
    out, into = os.pipe()
    yield out, into
    for fd in (out, into):
        try:
            os.close(fd)
        except OSError:
            continue


class Disk:
    """A file system with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""

    def write(self, data: bytes) -> int:
        """Take as much as there is room for."""
        if not self.room:
            return log._LOST
        taken = data[: self.room]
        self.room -= len(taken)
        self.content += taken
        return len(taken)

    def lines(self) -> list[str]:
        """Return what was written."""
        return self.content.decode().splitlines()


def test_a_closed_reader_is_no_error(pipe: tuple[int, int]) -> None:
    """What a pipe whose reader is gone does not take is counted, without an error."""
    out, into = pipe
    os.close(out)
    output = Output(into)
    for _ in range(10):
        output.line("x")
    assert output.dropped == 10


def test_lines_that_a_full_disk_loses_are_counted_and_told() -> None:
    """No line is glued to half of one that was lost, and the count comes as soon as lines can be written again."""
    disk = Disk(room=25)
    output = Output(0)
    output._write = disk.write
    for number in range(4):
        output.line(f"line number {number}")
    assert output.dropped == 3
    disk.room = 1000
    output.line("there is room again")
    output.line("and more")
    assert disk.lines() == [
        "line number 0",
        "line number",
        "there is room again",
        "event=log.dropped lines=3",
        "and more",
    ]
    assert output.dropped == 3


def test_a_count_that_is_lost_itself_is_told_later() -> None:
    """A report for which there was no room is made good by the next, and is not counted as a line."""
    disk = Disk(room=0)
    output = Output(0)
    output._write = disk.write
    output.line("lost")
    disk.room = len("barely\n")
    output.line("barely")
    disk.room = 1000
    output.line("again")
    assert disk.lines() == ["barely", "again", "event=log.dropped lines=1"]
    assert output.dropped == 1


def test_a_worker_that_loses_a_line_breaks_none_of_those_that_wait() -> None:
    """When the rest of a line is lost, the line that waits behind it begins a line of its own."""
    taken, content = iter((10, log._LOST)), b""

    def write(data: bytes) -> int:
        nonlocal content
        count = next(taken, len(data))
        content += data[: max(0, count)]
        return count

    output = Output(0)
    output.share()
    output._write = write
    output.line(LONG)
    output.line(LONG)
    assert content.decode().splitlines() == ["x" * 10, LONG, "event=log.dropped lines=1"]


def test_a_line_that_no_pipe_takes_whole_is_written_alone(pipe: tuple[int, int]) -> None:
    """A worker's line that is longer than what goes into a pipe in one piece is written all the same."""
    out, into = pipe
    output = Output(into)
    output.share()
    output.line("x" * 5000)
    assert os.read(out, 1 << 16) == b"x" * 5000 + b"\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_pipe_of_another_user_takes_what_there_is_room_for(pipe: tuple[int, int]) -> None:
    """Where standard error may not be opened anew it is asked for room first, and what does not fit is lost."""
    out, into = pipe
    os.seteuid(65534)  # nobody, who may not even look at the descriptors of a process that was root's
    try:
        output = Output(into)
    finally:
        os.seteuid(0)
    output.line("there is room")
    assert os.read(out, 100) == b"there is room\n"
    while select.select([], [into], [], 0)[1]:
        os.write(into, b"x" * 4096)
    output.line("there is none")
    assert output._size == len("there is none\n")
