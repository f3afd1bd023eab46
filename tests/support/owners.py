"""Files that belong to others, and what another user makes of them; for root, who alone can give files away."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that any user may look into, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Be another user, and of the group with the same number, for a while."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def mend(said: str) -> list[str]:
    """Run each command that a message tells to run; return them."""
    commands: list[str] = re.findall(r"; (ch(?:own|mod) .+?)(?:, or | \(in |; |$)", said, re.MULTILINE)
    for command in commands:
        subprocess.run(shlex.split(command), check=True)
    return commands
