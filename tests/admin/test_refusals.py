"""Refusals as lines of the log."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

from ambassador.admin.refusals import path_of
from tests.support.deadline import eventually
from tests.support.net import free_port

if TYPE_CHECKING:
    from tests.support.watch import Watch


def test_a_crowd_of_refusals_is_a_line_a_second(watch: Watch) -> None:
    """However many are refused, there is a line a second at most, and all lines together account for each of them."""
    admin = watch(free_port())
    for _ in range(50):
        assert admin.ask("/status", headers={"Host": "evil.example"}).status == 403

    def accounted() -> int:
        return sum(1 + line.get("unsaid", 0) for line in admin.ambassador.named("admin.refused"))

    eventually(lambda: accounted() == 50, "all refusals are accounted for")
    lines = admin.ambassador.named("admin.refused")
    times = [dt.datetime.fromisoformat(line["timestamp"]) for line in lines]
    assert len(lines) > 1
    # A clock that is set right in between is no failure, nor is a timer that is early by its resolution.
    assert all((later - earlier).total_seconds() > 0.9 for earlier, later in itertools.pairwise(times))


def test_the_last_refusals_are_told_at_the_end(watch: Watch) -> None:
    """What a second was too short for is said before the process ends."""
    admin = watch(free_port())
    for _ in range(5):
        assert admin.ask("/status", headers={"Host": "evil.example"}).status == 403
    assert admin.ask("/drain", "POST").status == 202
    assert admin.ambassador.exit_code() == 0
    assert sum(1 + line.get("unsaid", 0) for line in admin.ambassador.named("admin.refused")) == 5


def test_a_path_is_written_safely() -> None:
    """A path in the log is short, printable ASCII, without the query."""
    assert path_of("/connections/1?token=secret") == "/connections/1"
    assert path_of("/\x1b[31m\r\n\u202e\udc80é") == r"/\x1b[31m\r\n\u202e\udc80\xe9"
    assert path_of("/" + "x" * 10_000) == "/" + "x" * 96 + "..."
