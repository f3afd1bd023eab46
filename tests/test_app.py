"""The event loop that is taken."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import uvloop

from ambassador.app import loop_factory

if TYPE_CHECKING:
    import pytest


def test_uvloop_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With uvloop installed it makes the loops, without it asyncio does."""
    assert loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is asyncio.new_event_loop
