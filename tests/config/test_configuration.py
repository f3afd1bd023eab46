"""The whole configuration at once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.config.configuration import read
from ambassador.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ambassador.config.configuration import Configuration

    Configure = Callable[..., Configuration]
    Problems = Callable[..., list[str]]

# What a start would pay for without need. (On Python 3.11 pydantic itself loads socket.)
NEEDLESS = ("asyncio", "structlog", "uvloop", "aiohttp", "pydantic_settings", "click", "prometheus_client")


def test_all_problems_are_told_together(problems: Problems) -> None:
    """One start shows everything that is wrong: settings, names, links, routes, arguments, clashes, tunnel."""
    lines = problems(
        {
            "AMBASSADOR_KEEPALIVE": "soon",
            "AMBASSADOR_DRAIN_DELAY_FILE": "/nowhere",
            "AMBASSADOR_ROUTE": "x",
            "A_PORT_80_TCP": "a",
            "B_PORT_81_TCP": "tcp://b",
            "C_PORT_82_TCP": "tcp://c:1",
            "D_PORT_82_TCP": "tcp://d:1",
            "E_PORT_9901_TCP": "tcp://e:1",
            "AMBASSADOR_ROUTES": "f 83=g:1 83=h:1",
            "AMBASSADOR_TUNNEL": "target",
        },
        arguments=["i"],
    )

    assert [line.partition("=")[0].partition(":")[0] for line in lines] == [
        "AMBASSADOR_DRAIN_DELAY_FILE",
        "AMBASSADOR_KEEPALIVE",
        "AMBASSADOR_ROUTE",
        "A_PORT_80_TCP",
        "B_PORT_81_TCP",
        "argument i",
        "AMBASSADOR_ROUTES",
        "AMBASSADOR_ROUTES",
        "C_PORT_82_TCP",
        "E_PORT_9901_TCP",
        "AMBASSADOR_TUNNEL",
    ]


@pytest.mark.parametrize("setting", [{"AMBASSADOR_BIND": "eth0"}, {"AMBASSADOR_ADMIN": "9901"}])
def test_broken_setting_makes_no_second_problem(problems: Problems, setting: dict[str, str]) -> None:
    """Where it unknown value what listens where, nothing is said to clash."""
    assert len(problems({"A_PORT_9901_TCP": "tcp://a:1"} | setting)) == 1


def test_routes_of_a_file_are_of_its_variable(configure: Configure, problems: Problems, tmp_path: Path) -> None:
    """A route from AMBASSADOR_ROUTES_FILE comes from there, and is told so when it is wrong."""
    file = tmp_path / "routes"
    file.write_text("80=a:1\n81=b:1\n")
    environ = {"AMBASSADOR_ROUTES_FILE": str(file)}
    assert [route.source for route in configure(environ).routes] == ["AMBASSADOR_ROUTES_FILE"] * 2

    file.write_text("80=a:1\n80=b:1\nc\n")
    assert [line.partition(":")[0] for line in problems(environ)] == [
        "AMBASSADOR_ROUTES_FILE c",
        "AMBASSADOR_ROUTES_FILE 80=b",
    ]


def test_every_variable_that_looks_like_a_link_has_a_decision() -> None:
    """`ambassador check` can show all of them: served, merged, beaten, ignored."""
    environ = {
        "A_PORT_80_TCP": "tcp://a:1",
        "AA_PORT_80_TCP": "tcp://a:1",
        "B_PORT_81_TCP": "tcp://b:1",
        "C_PORT_82_TCP": "82",
        "D_PORT_83_UDP": "udp://d:1",
        "A_NAME": "/me/a",
        "A_ENV_E_PORT_84_TCP": "tcp://e:1",
        "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
        "f_port_85_tcp": "tcp://f:1",
        "AMBASSADOR_ROUTES": "81=g:1",
    }

    decisions = read(environ).decisions

    routes = {decision.variable: decision.route for decision in decisions}
    assert routes == {
        "A_PORT_80_TCP": "a:80",
        "AA_PORT_80_TCP": "a:80",
        "AMBASSADOR_ROUTES": "b:81",
        **dict.fromkeys(set(environ) - {"A_PORT_80_TCP", "AA_PORT_80_TCP", "AMBASSADOR_ROUTES", "A_NAME"}),
    }
    assert all(decision.reason for decision in decisions if decision.route is None)


def test_no_traceback_is_needed() -> None:
    """The error of a configuration carries problems, not another error behind it."""
    with pytest.raises(ConfigurationError) as caught:
        read({"AMBASSADOR_BIND": "x"})

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_room_imports_only_what_it_needs() -> None:
    """Reading a configuration loads no event loop, nor anything else that a start would wait for."""
    program = (
        "import sys; before = set(sys.modules); from ambassador.config.configuration import read; "
        "read({'A_PORT_80_TCP': 'tcp://a:1'}); print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()

    assert "ambassador.config.settings" in loaded
    assert not set(NEEDLESS) & set(loaded)
