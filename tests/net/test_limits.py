"""What the open-files limit is divided into."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ambassador.net.limits import divide, raise_files_limit

if TYPE_CHECKING:
    import pytest


@given(files=st.integers(64, 2_000_000), listeners=st.integers(1, 20))
def test_everything_fits_into_the_limit(files: int, listeners: int) -> None:
    """Connections, pipes, admin and what the process itself needs never need more than there is."""
    limits = divide(files, listeners=listeners)
    needed = 2 * limits.connections + 2 * limits.pipes + limits.admin + listeners
    assert min(limits) >= 1
    assert needed <= files or limits.connections == 1


@given(files=st.integers(16, 1_000_000))
def test_more_files_never_mean_fewer_connections(files: int) -> None:
    """A higher limit allows at least as many connections."""
    assert divide(files + 16, listeners=1).connections >= divide(files, listeners=1).connections


def test_a_usual_limit_is_mostly_connections() -> None:
    """Of 1024 files at least two thirds serve connections."""
    assert 2 * divide(1024, listeners=1).connections > 1024 * 2 / 3


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit becomes the hard one, which is returned."""
    was: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: was.append((which, limits)))
    assert raise_files_limit() == 4096
    assert was == [(resource.RLIMIT_NOFILE, (4096, 4096))]
