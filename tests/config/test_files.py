"""What one look at a file finds, whatever it is, and whatever is done to it meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ambassador.config.files import LARGEST, Look, look
from tests.support.deadline import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IN_FOLDER = pytest.mark.parametrize("in_folder", [False, True])


@IN_FOLDER
def test_a_file_is_read_whole(tmp_path: Path, *, in_folder: bool) -> None:
    """All that is in a file of the largest size is found, with its owner and mode."""
    path = tmp_path / "file"
    content = os.urandom(LARGEST)
    path.write_bytes(content)
    path.chmod(0o640)

    found = look(str(path), in_folder=in_folder)

    assert (found.content, found.wrong, found.mode, found.uid) == (content, "", 0o640, os.geteuid())


@IN_FOLDER
@pytest.mark.parametrize("path", ["/dev/tty", "/dev/zero", "/dev/ptmx", "/proc/self", "/dev/fd/0"])
def test_what_is_no_file_is_not_opened(path: str, *, in_folder: bool) -> None:
    """A device, which may do something when it is opened, and a folder are told as what they are not."""
    ours, _other = os.pipe()
    path = path.replace("/dev/fd/0", f"/dev/fd/{ours}")

    assert look(path, in_folder=in_folder).wrong in {"not a regular file", "No such file or directory"}

    os.close(ours)
    os.close(_other)


@IN_FOLDER
def test_a_file_whose_reading_waits_is_told(*, in_folder: bool) -> None:
    """The kernel's log is a regular file to look at, and has no end; nobody waits for its next line."""
    if os.geteuid():
        pytest.skip("only root may read it")
    while (found := look("/proc/kmsg", in_folder=in_folder)).content:  # lines that nobody has read yet
        if "no end" in found.wrong:
            break

    assert found.wrong in {"not a regular file: it has no end", "Operation not permitted"}


@contextlib.contextmanager
def swapping(code: str, folder: Path) -> Iterator[None]:
    """Do *code* again and again, in a process of its own, with *folder* as its working directory."""
    lines = "import os\nwhile True:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines())
    swapper = subprocess.Popen([sys.executable, "-c", lines], cwd=folder)
    try:
        yield
    finally:
        swapper.kill()
        swapper.wait()


def looks(path: Path, *, in_folder: bool, until: Callable[[list[Look]], bool]) -> list[Look]:
    """Look at *path* a thousand times, and then a thousand times more until it has been found in every state."""
    found: list[Look] = []
    end = time.monotonic() + PATIENCE
    while not found or not (until(found) or time.monotonic() > end):
        found += (look(str(path), in_folder=in_folder) for _ in range(1000))
    return found


@IN_FOLDER
def test_a_swap_with_a_pipe_holds_nothing_up(tmp_path: Path, *, in_folder: bool) -> None:
    """A file that is a pipe at every other moment is read, or told as none, and never waited for."""
    (tmp_path / "it").write_text("content")
    code = """
with open("file", "w") as file: file.write("content")
os.rename("file", "it")
os.mkfifo("pipe")
os.rename("pipe", "it")
"""

    def states(found: list[Look]) -> set[tuple[str, str]]:
        return {(one.content.decode(), one.wrong) for one in found}

    expected = {("content", ""), ("", "not a regular file")}
    with swapping(code, tmp_path):
        found = looks(tmp_path / "it", in_folder=in_folder, until=lambda found: states(found) == expected)

    assert states(found) == expected


def test_a_file_and_its_folder_belong_together(tmp_path: Path) -> None:
    """While a link goes to and fro between two folders, what is found is of one of them, never of both."""
    for name, mode in (("a", 0o700), ("b", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        (tmp_path / name / "key").write_text(name)
    (tmp_path / "now").symlink_to("a")
    code = """
for name in "ba": os.symlink(name, "next"); os.rename("next", "now")
"""

    def states(found: list[Look]) -> set[tuple[str, int]]:
        return {(one.content.decode(), one.folder_mode) for one in found}

    expected = {("a", 0o700), ("b", 0o755)}
    with swapping(code, tmp_path):
        found = looks(tmp_path / "now" / "key", in_folder=True, until=lambda found: states(found) == expected)

    assert states(found) == expected
