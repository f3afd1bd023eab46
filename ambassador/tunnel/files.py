"""The files that a tunnel's secrets are in: whether they are kept secret, what is in them, whether they changed."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from ambassador.config.problems import shown
from ambassador.errors import AmbassadorError

# A thousand keys, or any chain of certificates; whoever names /dev/zero by mistake is told so.
_LARGEST = 1 << 20
# PATH_MAX of Linux: a command that is cut off mends nothing.
_LONGEST_PATH = 4096
# Docker, Swarm and Kubernetes mount secrets here with modes that their users do not choose.
_UNJUDGED = ("/run/secrets", "/var/run/secrets")

# What a file is known by: device, inode, size, when its content and when its mode last changed. None: it is missing.
Signature = tuple[int, int, int, int, int] | None


class UnusableFileError(AmbassadorError):
    """A file cannot serve as it is: what is wrong, and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


def read(path: Path, *, secret: bool) -> str:
    """Return the text of *path*; one that is *secret* must be so on the disk, too.

    Raises:
        UnusableFileError: the file cannot be read, or others may read or change a secret.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise UnusableFileError("it is not a file", "name the file itself")
        if secret:
            _judge(path, stat.S_IMODE(info.st_mode))
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except PermissionError as error:
        raise UnusableFileError(*_forbidden(path)) from error
    except OSError as error:
        raise UnusableFileError(f"it cannot be read: {error.strerror}", "name a file that exists") from error
    if len(content) > _LARGEST:
        raise UnusableFileError(f"it is larger than {_LARGEST} bytes", "name the right file")
    return content.decode("utf-8", "replace")


def signature(path: Path) -> Signature:
    """Tell the present state of *path* from any other, also behind symbolic links, which is how Kubernetes swaps."""
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _judge(path: Path, mode: int) -> None:
    """Refuse a secret that others may read, or that someone other than its owner may change."""
    real = Path(os.path.realpath(path))
    if any(real.is_relative_to(os.path.realpath(folder)) for folder in _UNJUDGED):
        return
    amends = []
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        amends.append("go-w")
    if mode & stat.S_IROTH:
        amends.append("o-r")
    if amends:
        who = "others may read it" if mode & stat.S_IROTH else "group or others may change it"
        command = f"chmod {','.join(amends)} {_quoted(path)}"
        raise UnusableFileError(f"{who} (mode {mode:04o})", f"{command} (in Kubernetes: defaultMode: 0440)")


def _quoted(path: Path) -> str:
    """Write *path*, of a file that exists and so is no secret in its file's place, for a shell."""
    return shlex.quote(shown(os.path.abspath(path), _LONGEST_PATH))


def _forbidden(path: Path) -> tuple[str, str]:
    wrong = f"this process, uid {os.getuid()}, may not read it"
    try:
        owner = path.stat()
    except OSError:
        return wrong, "let it enter the folders above"
    user = f"--user {owner.st_uid}:{owner.st_gid}"
    return wrong, f"chown {os.getuid()} {_quoted(path)}, or run the container as its owner: {user}"
