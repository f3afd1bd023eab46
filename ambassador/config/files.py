"""Read a small text file that a variable names. Imports next to nothing, for the health check, which runs often."""

from __future__ import annotations

import errno
import os
import stat

# Bytes: a list of a thousand routes, a thousand keys or any chain of certificates fits; a device or a log must not fill
# the memory.
LARGEST = 1 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_small(path: str | os.PathLike[str], *, errors: str = "strict") -> str:
    """Return the text of *path*, UTF-8; *errors* says what happens to other bytes, as in `bytes.decode`.

    A byte order mark is no part of the text: editors write it without being asked.

    Raises:
        OSError: it cannot be read, is not a regular file, is larger than `LARGEST`, or is not UTF-8. Its strerror says
            which, fit for a message.
    """
    # Before it is opened: that would wait for the writer of a pipe (fifo(7)).
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB")
    if len(content) % 2 == 0 and (content.startswith(_UTF_16) or b"\0" in content[:2]):
        raise OSError(errno.EILSEQ, "not UTF-8 text but UTF-16, as PowerShell's > writes it; save it as UTF-8")
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "not UTF-8 text") from None
