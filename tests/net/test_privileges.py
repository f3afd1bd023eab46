"""What a process gives up, as the kernel and as the process itself sees it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.net.privileges import landlock_abi
from tests.support.confine import refused_landlock
from tests.support.prelude import guarded
from tests.support.process import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

needs_landlock = pytest.mark.skipif(landlock_abi() is None, reason="there is no Landlock here")
TRIES = """
import errno, json, os, subprocess, sys
from ambassador.net import privileges
def outcome(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def read(path):
    os.close(os.open(path, os.O_RDONLY))
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
def run(path):
    subprocess.run([path], check=True)
"""


def told(code: str, *arguments: object, prelude: str = "") -> Any:
    """Run *code*, which prints JSON, in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", guarded(prelude) + TRIES + code, *map(str, arguments)],
        check=False, capture_output=True, text=True, cwd=ROOT, env=environment({}),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@needs_landlock
def test_only_what_is_named_can_be_opened(tmp_path: Path) -> None:
    """What is named can be read, run or changed as it was named, below it too; all else, also what it leads to, not."""
    for name in ("read", "run", "change", "other"):
        (tmp_path / name).mkdir()
        program = tmp_path / name / "program"
        program.write_bytes(b"#!/bin/true\n")
        program.chmod(0o755)
    (tmp_path / "read" / "link").symlink_to(tmp_path / "other" / "program")
    program_text = """
folder = sys.argv[1]
abi = privileges.restrict_files(
    readable=[folder + "/read", folder + "/nowhere", folder + "/a\\0b"],
    executable=[folder + "/run", "/usr", "/lib", "/lib64", "/bin"], changeable=[folder + "/change/program"],
)
tries = {
    f"{what.__name__} {name}": outcome(what, f"{folder}/{name}")
    for what in (read, write, run)
    for name in ("read/program", "run/program", "change/program", "other/program", "read/link", "change/new")
}
print(json.dumps([abi, tries]))
"""
    privileged = "privileges.forbid_new_privileges()\n"
    abi, tries = told(privileged + program_text, tmp_path)

    assert abi == landlock_abi()
    assert {name for name, outcome in tries.items() if outcome == "done"} == {
        "read read/program", "read run/program", "read change/program", "write change/program", "run run/program",
    }  # fmt: skip
    assert {outcome for name, outcome in tries.items() if not name.endswith("new")} == {"done", "EACCES"}


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP])
def test_a_kernel_without_landlock_restricts_nothing(tmp_path: Path, number: int) -> None:
    """Where the kernel or a seccomp profile has no Landlock, that is told by None, and every file stays open."""
    code = """
told = [privileges.landlock_abi(), privileges.restrict_files(readable=[])]
print(json.dumps([*told, outcome(read, sys.argv[1])]))
"""
    (tmp_path / "file").touch()
    assert told(code, tmp_path / "file", prelude=refused_landlock(number)) == [None, None, "done"]


def test_a_python_without_ctypes_gives_nothing_up() -> None:
    """Where Python was built without ctypes nothing fails, and core files are forbidden all the same."""
    code = """
sys.modules["ctypes"] = None
privileges.forbid_new_privileges()
privileges.forbid_dumps()
import resource
print(json.dumps([privileges.landlock_abi(), resource.getrlimit(resource.RLIMIT_CORE)]))
"""
    assert told(code) == [None, [0, 0]]


def test_no_dumps_and_no_privileges() -> None:
    """The kernel then calls the process one that is not dumped and gains no privileges, and its children as well."""
    code = """
import ctypes
privileges.forbid_new_privileges()
privileges.forbid_dumps()
state = subprocess.run(["cat", "/proc/self/status"], check=True, capture_output=True, text=True).stdout
print(json.dumps([ctypes.CDLL(None).prctl(3), state.partition("NoNewPrivs:")[2].split()[0]]))
"""
    assert told(code) == [0, "1"]
