"""An admin server that cannot start, or not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    from tests.conftest import Launch
    from tests.support.watch import Watch

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


UNREPORTED = """
from ambassador.admin.overview import LocalOverview
from tests.support.prelude import replace
async def broken(self):
    raise RuntimeError("on purpose")
replace(LocalOverview, "report", broken)
"""


def test_an_answer_that_fails_is_told_and_is_the_only_one(watch: Watch) -> None:
    """A fault behind an answer is 500 without its reason, which is logged; what does not need it is still answered."""
    admin = watch(free_port(), prelude=UNREPORTED)
    answer = admin.ask("/status")
    assert (answer.status, answer.body) == (500, "failed\n")
    for path in ("history", "/status"):
        admin.ambassador.wait_for("admin.failed", path=path, error="RuntimeError: on purpose")
    assert admin.ask("/readyz").status == 200
