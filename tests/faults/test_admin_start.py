"""An admin server that cannot start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    from tests.conftest import Launch

BROKEN = """
from ambassador.admin.page import Page
from tests.support.prelude import replace
def broken():
    raise RuntimeError("on purpose")
replace(Page, "load", broken)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_admin_server_that_cannot_start_ends_the_process(ambassador: Launch, workers: str) -> None:
    """Without its admin server, nobody could ask for readiness: the reason is logged, and the exit code is 1."""
    settings = {"ADMIN": f"{LOCAL}:{free_port()}", "WORKERS": workers}
    running = ambassador(free_port(), settings=settings, prelude=BROKEN, wait=False)
    assert running.exit_code() == 1
    assert [line["error"] for line in running.named("admin.failed")] == ["RuntimeError: on purpose"]
    assert running.named("ambassador.stopped")[0]["exit_code"] == 1
