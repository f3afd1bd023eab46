"""How a run of the tests is divided: what is left out unless it is asked for, and what runs beside what."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# Tests wait more than they work, so there are more workers than cores; beyond a dozen they would wait for each other.
WORKERS = min(12, 3 * len(os.sched_getaffinity(0)))
_SLOW = ("slow", "docker")
_LEFT_OUT = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)  # before xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the whole suite in several processes, unless told otherwise; files that are named run in this one."""
    options = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not options.usepdb
    if getattr(options, "numprocesses", 0) is None and whole and not hasattr(config, "workerinput"):
        options.numprocesses = WORKERS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process one file at a time, whose tests share fixtures; there is one Docker engine, so one folder."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has none

    config.option.loadscopereorder = False  # in our order, not by the number of tests
    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope
    scheduling._split_scope = lambda nodeid: "docker" if nodeid.startswith("tests/docker/") else file_of(nodeid)
    return scheduling


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is slow, so that it does not run on when everything else is done."""
    items.sort(key=_slow, reverse=True)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the slow tests that are left out."""
    if items:
        stash = items[0].config.stash
        stash[_LEFT_OUT] = stash.get(_LEFT_OUT, 0) + sum(map(_slow, items))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process in charge what is left out: of collecting it knows nothing."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker tells, which it does not where it crashed."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # the last word, after the list of failures
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Say what was left out, and how to run it."""
    yield
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f'{left_out} tests that are slow or need Docker were left out: pytest -m "" runs all.'
        )


def _slow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in _SLOW)
