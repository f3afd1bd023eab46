"""Ambassadors that can be asked how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.admin import Admin
from tests.support.deadline import eventually
from tests.support.net import LOCAL, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Launch


class Watch(Protocol):
    """How tests start an ambassador with an admin server."""

    def __call__(
        self, *upstreams: str | int, settings: Mapping[str, str] | None = None, host: str = LOCAL, loop: str = "uvloop",
        files: int | None = None, prelude: str = "",
    ) -> Admin:  # fmt: skip
        """Start one with a route to each of *upstreams*, whose admin server listens on *host*."""


@pytest.fixture(params=["1", "2"])
def workers(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the settings for so many workers: each test that asks runs with one and with two."""
    return {"WORKERS": str(request.param)}


@pytest.fixture
def watch(ambassador: Launch) -> Watch:
    """Start ambassadors whose admin server answers, which end with the test."""

    def launch(
        *upstreams: str | int, settings: Mapping[str, str] | None = None, host: str = LOCAL, loop: str = "uvloop",
        files: int | None = None, prelude: str = "",
    ) -> Admin:  # fmt: skip
        port = free_port()
        started = ambassador(
            *upstreams,
            settings={"ADMIN": f"{host}:{port}", **(settings or {})},
            loop=loop,
            files=files,
            prelude=prelude,
        )
        admin = Admin(started, port, LOCAL if host == "0.0.0.0" else host)
        eventually(lambda: admin.ask("/livez").status == 200)
        return admin

    return launch
