"""The files of a tunnel: whether a secret is kept secret, what is in them, and whether they changed."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from ambassador.config.files import read_small
from ambassador.config.problems import shown
from ambassador.errors import AmbassadorError

# PATH_MAX of Linux (limits.h): a command that is cut off would be of no use.
_LONGEST_PATH = 4096
# Docker, Swarm and Kubernetes mount secrets here, with modes that their users do not choose.
_UNJUDGED = ("/run/secrets", "/var/run/secrets")

# What tells one state of a file from another: device, inode, size, and the times of its last change of content and of
# mode. None: the file cannot be looked at.
Signature = tuple[int, int, int, int, int] | None


class UnusableFileError(AmbassadorError):
    """A file cannot be used as it is: what is *wrong*, and what would be *right*. Neither holds any of its content."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


def read(path: Path, *, secret: bool) -> str:
    """Return the text of *path*; bytes that are not UTF-8 are replaced. A *secret* one must not be open to others.

    Raises:
        UnusableFileError: the file cannot be read, or others may read or change a secret one.
    """
    try:
        text = read_small(path, errors="replace")
        mode = stat.S_IMODE(path.stat().st_mode)
    except PermissionError as error:
        raise UnusableFileError(*_forbidden(path)) from error
    except OSError as error:
        raise UnusableFileError(f"cannot read the file: {error.strerror}", "name a readable file") from error
    if secret:
        _check_mode(path, mode)
    return text


def signature(path: Path) -> Signature:
    """Tell the present state of *path* from any other, also behind symbolic links, which is how Kubernetes swaps."""
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _check_mode(path: Path, mode: int) -> None:
    """Refuse a secret that others may read, or that anyone but its owner may change. Its group may read it."""
    real = Path(os.path.realpath(path))
    if any(real.is_relative_to(os.path.realpath(folder)) for folder in _UNJUDGED):
        return
    changes = []
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        changes.append("go-w")
    if mode & stat.S_IROTH:
        changes.append("o-r")
    if changes:
        who = "readable by others" if mode & stat.S_IROTH else "writable by group or others"
        command = f"chmod {','.join(changes)} {_quoted(path)}"
        raise UnusableFileError(f"{who} (mode {mode:04o})", f"{command} (in Kubernetes: defaultMode: 0440)")


def _quoted(path: Path) -> str:
    """Write *path* for a shell. It is that of a file that exists, and so not a secret in its file's place."""
    return shlex.quote(shown(os.path.abspath(path), _LONGEST_PATH))


def _forbidden(path: Path) -> tuple[str, str]:
    wrong = f"not readable by this process (uid {os.getuid()})"
    try:
        owner = path.stat()
    except OSError:
        return wrong, "give it access to the folders above"
    user = f"--user {owner.st_uid}:{owner.st_gid}"
    return wrong, f"chown {os.getuid()} {_quoted(path)}, or run the container as its owner: {user}"
