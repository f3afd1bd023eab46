"""What one look at a file finds, whatever it is, and whatever is done to it meanwhile."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador.config.files import LARGEST, look

if TYPE_CHECKING:
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


@IN_FOLDER
def test_a_swap_with_a_pipe_holds_nothing_up(tmp_path: Path, *, in_folder: bool) -> None:
    """A file that is a pipe at every other moment is read, or told as none, and never waited for."""
    path, file, pipe = tmp_path / "it", tmp_path / "file", tmp_path / "pipe"
    path.touch()
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            file.write_text("content")
            file.rename(path)
            os.mkfifo(pipe)
            pipe.rename(path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        found = [look(str(path), in_folder=in_folder) for _ in range(3000)]
    finally:
        over.set()
        swapper.join()

    assert {"content"} <= {one.content.decode() for one in found} <= {"", "content"}
    assert "" in {one.wrong for one in found} <= {"", "not a regular file"}


def test_a_file_and_its_folder_belong_together(tmp_path: Path) -> None:
    """While a link goes to and fro between two folders, what is found is of one of them, never of both."""
    for name, mode in (("a", 0o700), ("b", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        (tmp_path / name / "key").write_text(name)
    (tmp_path / "now").symlink_to("a")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for name in ("b", "a"):
                (tmp_path / "next").symlink_to(name)
                (tmp_path / "next").rename(tmp_path / "now")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        found = [look(str(tmp_path / "now" / "key"), in_folder=True) for _ in range(3000)]
    finally:
        over.set()
        swapper.join()

    pairs = {(one.content.decode(), one.folder_mode) for one in found if not one.wrong}
    assert pairs == {("a", 0o700), ("b", 0o755)}
