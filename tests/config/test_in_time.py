"""Files that do not answer are not waited for, by whatever they are looked at."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ambassador.config import files
from ambassador.config.in_time import answers, look_in_time
from tests.support.confine import pids_limit, refused_threads
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


def test_a_program_looks_as_we_do(tmp_path: Path) -> None:
    """What the program has found is what is found here, to the byte, also of a name that is no text."""
    path = tmp_path / "fi\udcffle"
    path.write_bytes(bytes(range(256)))
    paths = [str(path), str(tmp_path / "none"), str(path)]
    here = look_in_time((path, True) for path in paths)

    there = subprocess.run(
        [sys.executable, "-I", "-S", files.__file__],
        input=json.dumps(paths).encode() + b"\n",
        check=True,
        stdout=subprocess.PIPE,
    )

    assert [vars(found) for found in answers(there.stdout)] == [vars(found) for found in here]


def test_half_an_answer_is_none() -> None:
    """A process that was killed within a line has not answered."""
    assert answers(b'{"path": "/x", "con') == []


_LOOK = """
import sys
from ambassador.config.in_time import look_in_time
for found in look_in_time([(path, True) for path in sys.argv[1:]], seconds=1):
    print(found.content.decode() or found.wrong)
"""


def looked(*paths: Path, prelude: str = "") -> list[str]:
    """Return what a process that has but one thread finds in these files."""
    command = [sys.executable, "-c", prelude + _LOOK, *map(str, paths)]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment({}), capture_output=True, text=True)
    return done.stdout.splitlines()


def test_a_process_that_looks_ends_though_a_file_hangs(tmp_path: Path) -> None:
    """Who starts has children look: what hangs for good, beyond the reach of SIGKILL, does not keep it from ending."""
    (tmp_path / "well").write_text("well")
    with hanging_folder(tmp_path / "gone") as folder:
        folder.hangs = True
        said = looked(folder.path, tmp_path / "well")
        assert folder.asked

    assert said == ["its file system has not answered within 1 s", "well"]


@pytest.mark.parametrize("how", ["no threads", "no processes", "a thread"])
def test_one_way_is_enough(tmp_path: Path, how: str) -> None:
    """A file is read where no thread can be had, where there are other threads, and where no process can be had."""
    (tmp_path / "well").write_text("well")
    other = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    preludes = {"no threads": refused_threads("clone3 EPERM"), "a thread": other}
    with pids_limit(1) if how == "no processes" else contextlib.nullcontext(preludes.get(how, "")) as prelude:
        assert looked(tmp_path / "well", prelude=prelude) == ["well"]
