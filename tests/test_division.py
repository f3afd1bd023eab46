"""How a run of the tests is divided, and what its processes share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.deadline import PATIENCE
from tests.support.net import free_port
from tests.support.process import ROOT

PORTS = 400  # of 16,000: by chance alone, two processes would share some in all but one of 20,000 runs


def run(*arguments: str) -> str:
    """Run pytest with *arguments*; return what it printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=4 * PATIENCE).stdout


@pytest.mark.slow
@pytest.mark.parametrize("how", [("-n", "0"), ("-n", "1"), ("-p", "no:xdist")])
def test_what_is_left_out_is_said(how: tuple[str, ...]) -> None:
    """A run that leaves slow tests out ends with their number and with what runs them, however it is divided."""
    said = run(*how, "tests/soak")

    assert '1 tests that are slow or need Docker were left out: pytest -m "" runs all.' in said


def test_no_port_is_given_to_two_processes() -> None:
    """What one process has been given, and perhaps not used yet, is given to no other as long as it lives."""
    program = (
        f"from tests.support.net import free_port\nprint(*(free_port() for _ in range({PORTS})), flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = set(other.stdout.readline().split())
        ours = {str(free_port()) for _ in range(PORTS)}
        other.communicate("\n", PATIENCE)

    assert len(theirs) == len(ours) == PORTS
    assert not theirs & ours
