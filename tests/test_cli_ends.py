"""How commands end where nobody hears them, and when they are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.cases import quick
from tests.support.net import LOCAL, free_port
from tests.support.process import ROOT, environment

LINK = {"REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379"}


def code_and_errors(redirection: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command with a stream redirected as a shell does it; >&0 is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "ambassador", *arguments],
        check=False, env=environment(variables), cwd=ROOT, stdin=writer, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("stream", quick(1, ["2>/dev/full", "2>&0", "2>&-"]))
@pytest.mark.parametrize("arguments", [("run",), ("check",), ("--frob",)])
def test_a_problem_that_nobody_hears_is_still_exit_code_2(arguments: tuple[str, ...], stream: str) -> None:
    """With standard error full, broken or closed, what is wrongly configured or called ends with 2."""
    assert code_and_errors(stream, *arguments)[0] == 2


@pytest.mark.parametrize("arguments", [("check",), ("check", "--json"), ("keygen",)])
def test_an_answer_that_cannot_be_written_is_exit_code_1(arguments: tuple[str, ...]) -> None:
    """On a full disk the one line of standard error says so; where nobody reads there is none."""
    full = "ambassador: cannot write the output: No space left on device\n"
    assert code_and_errors(">/dev/full", *arguments, **LINK) == (1, full)
    assert code_and_errors(">&0", *arguments, **LINK) == (1, "")


@pytest.mark.parametrize("stream", [">/dev/full", ">&0", ">&-", "<&- >&- 2>&-"])
def test_a_health_check_that_nobody_reads_has_its_exit_code(stream: str) -> None:
    """The code alone is what Docker goes by, wherever the line goes."""
    assert code_and_errors(stream, "healthcheck", AMBASSADOR_ADMIN="off") == (0, "")
    assert code_and_errors(stream, "healthcheck", AMBASSADOR_ADMIN=f"{LOCAL}:{free_port()}") == (1, "")


# A shell that runs the tests in the background has them, and so this, ignore SIGINT.
WAITING = """
import signal, sys, time
import ambassador.commands.wait
from ambassador.cli import main
from tests.support.prelude import replace
signal.signal(signal.SIGINT, signal.default_int_handler)
def run(*_, **__):
    print("waiting", flush=True)
    time.sleep(60)
replace(ambassador.commands.wait, "run", run)
sys.exit(main(["wait", "x:1"]))
"""


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    """A SIGINT during `wait` ends it with 130, as a shell has it, and in silence."""
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=environment({}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with waiting:
        assert waiting.stdout is not None
        assert waiting.stderr is not None
        assert waiting.stdout.readline() == "waiting\n", waiting.stderr.read()
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "Traceback" not in err
