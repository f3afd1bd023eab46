"""Look at a small file that a variable names. Blocks; `in_time` does not wait for ever.

Imports next to nothing: while an ambassador serves this runs as a program, which looks at what it is told to.
"""

from __future__ import annotations

import errno
import os
import stat

# Bytes: a list of a thousand routes, a thousand keys or any chain of certificates fits; a device or a log must not fill
# the memory.
LARGEST = 1 << 20
# Docker, Swarm and Kubernetes mount secrets here, with owners and modes that their users do not choose.
SECRETS = ("/run/secrets", "/var/run/secrets")
# In seconds: how long a process that was killed takes to end, unless it hangs in the kernel.
KILLED = 0.5
_PART = 1 << 16
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# O_NONBLOCK: to open a pipe would wait for its writer (fifo(7)), and to read /proc/kmsg for the next message. O_NOCTTY:
# a process that leads a session must not take a terminal for its own (open(2)).
_HOW = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# Whoever swaps files, as Kubernetes does, may do so between two steps of ours; nobody does it this often in a row.
_TRIES = 3


class Look:
    """What one look at a file has found, as plain data.

    Attributes:
        path: as it was named; `real`: where that leads to, where a folder was asked for.
        content: what is in it, from the very file that the rest is about; empty if it could not be read.
        wrong: why it could not be read; empty if it could. `forbidden`: since this process may not, `late`: in time.
        mode, uid, gid: the file's; -1 while unknown. `folder_mode` and so on: of the folder that it really is in.
        mounted: it is below a folder of secrets.
    """

    def __init__(self, path: str) -> None:
        self.path = self.real = path
        self.content = b""
        self.wrong = ""
        self.forbidden = self.late = self.mounted = False
        self.mode = self.uid = self.gid = self.folder_mode = self.folder_uid = self.folder_gid = -1

    def fail(self, error: OSError) -> None:
        """Note why it could not be read."""
        self.wrong = error.strerror or str(error)
        self.forbidden = isinstance(error, PermissionError)

    def text(self, *, errors: str = "strict") -> str:
        """Return the content as text, UTF-8; *errors* says what happens to other bytes, as in `bytes.decode`.

        A byte order mark is no part of the text: editors write it without being asked.

        Raises:
            OSError: it could not be read, or is not UTF-8. Its strerror says which, fit for a message.
        """
        if self.wrong:
            raise OSError(errno.EACCES if self.forbidden else errno.EIO, self.wrong)
        content = self.content
        if len(content) % 2 == 0 and (content.startswith(_UTF_16) or b"\0" in content[:2]):
            raise OSError(errno.EILSEQ, "not UTF-8 text but UTF-16, as PowerShell's > writes it; save it as UTF-8")
        try:
            return content.decode("utf-8-sig", errors)
        except UnicodeDecodeError:
            raise OSError(errno.EILSEQ, "not UTF-8 text") from None


def look(path: str, *, in_folder: bool) -> Look:
    """Open the regular file at *path* once, and say what it is and what is in it. Symbolic links are followed.

    With *in_folder* its real folder is looked at first, and the file is opened in that: whatever is swapped meanwhile,
    what was read and what can be judged belong together.
    """
    for _ in range(_TRIES if in_folder else 1):
        found = Look(path)
        try:
            if in_folder:
                _look_in_folder(found)
            else:
                _read(found, path, None)
            break
        except OSError as error:
            found.fail(error)
    return found


def _look_in_folder(found: Look) -> None:
    found.real = os.path.realpath(found.path)
    found.mounted = any(found.real.startswith(f"{os.path.realpath(secrets)}/") for secrets in SECRETS)
    folder, name = os.path.split(found.real)
    # O_PATH: to look into it is not needed, and may not be allowed.
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        info = os.fstat(descriptor)
        found.folder_mode = stat.S_IMODE(info.st_mode)
        found.folder_uid, found.folder_gid = info.st_uid, info.st_gid
        _read(found, name, descriptor)
    finally:
        os.close(descriptor)


def _read(found: Look, path: str, folder: int | None) -> None:
    """Read the file; in a *folder* it must not be a link any more."""
    # A device is not even opened: that alone may do something, as with a watchdog.
    _take(found, os.stat(path, dir_fd=folder, follow_symlinks=folder is None))
    descriptor = os.open(path, _HOW if folder is None else _HOW | os.O_NOFOLLOW, dir_fd=folder)
    try:
        _take(found, os.fstat(descriptor))
        while part := os.read(descriptor, _PART):
            found.content += part
            if len(found.content) > LARGEST:
                raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB")
    except BlockingIOError:
        raise OSError(errno.EINVAL, "not a regular file: it has no end") from None
    finally:
        os.close(descriptor)


def _take(found: Look, info: os.stat_result) -> None:
    """Note whose the file is, if it is one."""
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    found.mode, found.uid, found.gid = stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid


def written(found: Look) -> bytes:
    """Write what was found as one line, for `in_time.answers`."""
    import json

    return json.dumps({**vars(found), "content": found.content.decode("latin-1")}).encode() + b"\n"


def main() -> None:  # pragma: no cover - runs without site-packages, and so unmeasured
    """Answer each line, a list of paths, by a line for each of them, after having looked at it in its folder."""
    import contextlib
    import json

    # What it reads may be a key. PR_SET_DUMPABLE (prctl(2)), as `net.privileges` has it, but exec(2) has undone that.
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    with open(0, "rb", closefd=False) as questions, open(1, "wb", buffering=0, closefd=False) as answers:
        for line in questions:
            answers.writelines(written(look(path, in_folder=True)) for path in json.loads(line))


if __name__ == "__main__":  # pragma: no cover - as `main`
    main()
