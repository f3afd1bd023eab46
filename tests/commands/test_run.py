"""From a configuration to a running process."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
import uvloop

from ambassador.commands.run import loop_factory

if TYPE_CHECKING:
    from tests.conftest import Launch


@pytest.mark.parametrize("workers", ["1", "2"])
def test_more_connections_than_there_are_files_for_are_warned_about(ambassador: Launch, workers: str) -> None:
    """Where the limit of open files allows fewer than AMBASSADOR_MAX_CONNECTIONS, one warning says so and how many."""
    running = ambassador(9, settings={"MAX_CONNECTIONS": "500", "WORKERS": workers}, files=256)
    (warning,) = running.named("configuration.warning")
    possible = running.named("ambassador.ready")[0]["max_connections"] // int(workers)
    assert f"AMBASSADOR_MAX_CONNECTIONS=500: the open-files limit allows {possible} " in warning["message"]


def test_uvloop_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With uvloop installed it makes the loops, without it asyncio does."""
    assert loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is asyncio.new_event_loop


COLLECTING = """
import gc
from ambassador.server.process import Process
from tests.support.prelude import replace
async def serve_collecting(self, ready):
    assert gc.isenabled()
    return await serve(self, ready)
serve = replace(Process, "serve", serve_collecting)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_garbage_is_collected_while_it_serves(ambassador: Launch, workers: str) -> None:
    """No collection slows the start down, and all that comes after it is collected."""
    running = ambassador(9, settings={"WORKERS": workers}, prelude=COLLECTING)
    assert running.stop() == 0
    assert running.lines == []
