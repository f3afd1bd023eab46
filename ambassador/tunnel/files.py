"""The files of a tunnel: whether a secret is kept secret, and how one that is not can be mended."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from typing import TYPE_CHECKING

from ambassador.config.problems import shown
from ambassador.errors import AmbassadorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ambassador.config.files import Look

# PATH_MAX of Linux (limits.h): a command that is cut off would be of no use.
_LONGEST_PATH = 4096
# MFD_NOEXEC_SEAL (memfd_create(2)), from Linux 6.3 on, where the sysctl vm.memfd_noexec may ask for it.
_NO_EXECUTION = 0x0008


class UnusableFileError(AmbassadorError):
    """A file cannot be used as it is: each thing that is wrong, and what would be right. Holds none of its content."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{wrong}; {right}" for wrong, right in faults))
        self.faults = faults


def text(found: Look, *, secret: bool) -> str:
    """Return the text of a file; bytes that are not UTF-8 are replaced. A *secret* one must not be open to others.

    Raises:
        UnusableFileError: the file cannot be read, or others may read or change a secret one.
    """
    faults = []
    if found.forbidden:
        faults.append(_forbidden(found))
    elif found.late:
        faults.append((found.wrong, "mend what is mounted there, or name a file elsewhere"))
    elif found.wrong:
        faults.append((f"cannot read the file: {found.wrong}", "name a readable file"))
    if secret:
        faults += _faults(found)
    if faults:
        raise UnusableFileError(*faults)
    try:
        return found.text(errors="replace")
    except OSError as error:
        raise UnusableFileError((f"cannot read the file: {error.strerror}", "name a readable file")) from error


@contextlib.contextmanager
def lend(content: bytes) -> Iterator[str]:
    """Give *content* a path for a while, in memory: the image has nothing that could be written to.

    Python's ssl takes certificates and keys from paths only, and what was judged must be what is used: to open the path
    of a file for a second time might find another there, or wait for ever.

    Raises:
        OSError: there is no such path here. Its strerror says why.
    """
    try:
        descriptor = os.memfd_create("tunnel", os.MFD_CLOEXEC | _NO_EXECUTION)
    except OSError:
        descriptor = os.memfd_create("tunnel", os.MFD_CLOEXEC)
    with open(descriptor, "wb", buffering=0) as file:
        path = f"/proc/self/fd/{descriptor}"
        if not os.path.exists(path):
            raise OSError(errno.ENOENT, "/proc is not mounted")
        file.write(content)
        yield path


def _faults(found: Look) -> list[tuple[str, str]]:
    """Find what lets others read a secret, or change it or put another in its place; what is unknown lets nobody.

    The folder counts as sshd's StrictModes has it: whoever may write in it may rename another file into its place, but
    for a sticky one (unlink(2)), which is root's own to give away.
    """
    if found.mounted or found.mode < 0:
        return []
    file, folder = _quoted(found.path if os.path.isabs(found.path) else found.real), os.path.dirname(found.real)
    faults = []
    if _is_foreign(found.uid) and not found.forbidden:
        faults.append((_belongs(found.uid), _give(file, found.uid, found.gid)))
    changes = []
    if found.mode & (stat.S_IWGRP | stat.S_IWOTH):
        changes.append("go-w")
    if found.mode & stat.S_IROTH:
        changes.append("o-r")
    if changes:
        who = "readable by others" if found.mode & stat.S_IROTH else "writable by group or others"
        right = f"chmod {','.join(changes)} {file} (in Kubernetes: defaultMode: 0440)"
        faults.append((f"{who} (mode {found.mode:04o}, of uid {found.uid})", right))
    if _is_foreign(found.folder_uid):
        right = _give(_quoted(folder), found.folder_uid, found.folder_gid)
        faults.append((f"its folder {_shown(folder)} {_belongs(found.folder_uid)}", right))
    sticky = found.folder_mode & stat.S_ISVTX and found.folder_uid == 0
    if found.folder_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        who = f"mode {found.folder_mode:04o}, of uid {found.folder_uid}"
        wrong = f"its folder {_shown(folder)} is writable by group or others ({who})"
        faults.append((wrong, f"chmod go-w {_quoted(folder)}"))
    return faults


def _is_foreign(uid: int) -> bool:
    """Tell whether somebody other than root and this process may give rights away."""
    return uid not in {0, os.geteuid()}


def _belongs(uid: int) -> str:
    ours = os.geteuid()
    return f"belongs to uid {uid}, not to root{f' or this process (uid {ours})' if ours else ', who runs this'}"


def _give(what: str, uid: int, gid: int) -> str:
    """Write what mends an owner: *what* is quoted already."""
    return f"chown {os.geteuid()} {what}, or run the container as its owner: --user {uid}:{gid}"


def _forbidden(found: Look) -> tuple[str, str]:
    wrong = f"not readable by this process (uid {os.geteuid()})"
    file, folder = _quoted(found.path), os.path.dirname(found.real)
    if found.mode >= 0:
        return f"{wrong}, its owner is uid {found.uid}", _give(file, found.uid, found.gid)
    if found.folder_mode < 0:
        return wrong, "give it access to the folders above"
    whose = f"its folder {_shown(folder)} is closed to it (mode {found.folder_mode:04o}, of uid {found.folder_uid})"
    return f"{wrong}, {whose}", _give(f"{_quoted(folder)} {file}", found.folder_uid, found.folder_gid)


def _quoted(path: str) -> str:
    """Write a path for a shell. It is that of a file that exists, and so not a secret in its file's place."""
    return shlex.quote(_shown(path))


def _shown(path: str) -> str:
    return shown(path, _LONGEST_PATH)
