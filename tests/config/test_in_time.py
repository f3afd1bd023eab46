"""Files that do not answer are not waited for, by whatever they are looked at."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.config.in_time import answers, end_process, look_in_time, start_process
from tests.support.confine import pids_limit, refused_threads
from tests.support.deadline import eventually
from tests.support.fuse import hanging_folder
from tests.support.process import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

# In seconds: longer than a look takes here.
SHORT = 1.0


def test_what_hangs_is_late_and_hides_no_other(tmp_path: Path) -> None:
    """Of two files one does not answer: the other is read, and the late one is told with its time."""
    (tmp_path / "well").write_text("well")
    with hanging_folder(tmp_path / "gone") as folder:
        folder.hangs = True
        paths = [str(folder.path), str(tmp_path / "well"), str(folder.path)]
        found = look_in_time(((path, True) for path in paths), seconds=SHORT)
        assert folder.asked

    assert [one.late for one in found] == [True, False, True]
    assert found[0].wrong == "its file system has not answered within 1 s"
    assert found[1].content == b"well"


def test_a_process_looks_as_a_thread_does(tmp_path: Path) -> None:
    """What a process has found is what is found here, to the byte, also of a name that is no text."""
    path = tmp_path / "fi\udcffle"
    path.write_bytes(bytes(range(256)))
    (here,) = look_in_time([(str(path), True)])

    process = start_process([(str(path), True)])
    assert process.stdout is not None
    (there,) = answers(process.stdout.read())
    end_process(process)

    assert vars(there) == vars(here)


def test_half_an_answer_is_none() -> None:
    """A process that was killed within a line has not answered."""
    assert answers(b'{"path": "/x", "con') == []


@pytest.mark.parametrize("how", ["no threads", "no threads, hanging", "no processes"])
def test_no_thread_is_needed(tmp_path: Path, how: str) -> None:
    """Where no thread can be had a process looks, in the same time; without one the answer is waited for."""
    (tmp_path / "well").write_text("well")
    code = """
import sys
from ambassador.config.in_time import look_in_time
for found in look_in_time([(path, True) for path in sys.argv[1:]], seconds=1):
    print(found.content.decode() or found.wrong)
"""

    def run(prelude: str, path: Path) -> str:
        command = [sys.executable, "-c", prelude + code, str(path)]
        return subprocess.run(
            command, check=True, cwd=ROOT, env=environment({}), capture_output=True, text=True
        ).stdout.strip()

    if how == "no processes":
        with pids_limit(1) as prelude:
            assert run(prelude, tmp_path / "well") == "well"
        return
    prelude = refused_threads("clone3 EPERM")
    if how == "no threads":
        assert run(prelude, tmp_path / "well") == "well"
        return
    with hanging_folder(tmp_path / "gone") as folder:
        folder.hangs = True
        assert run(prelude, folder.path) == "its file system has not answered within 1 s"
        eventually(lambda: folder.asked, "a question")
