"""What a process can give up of its own rights, for good: by prctl(2), setrlimit(2) and landlock(7).

Python has no functions for them, so they are called by ctypes; where there is none of it, they are left out. All but
the limit of core files are about the calling thread: call them before there is another.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# linux/prctl.h.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
# The same on every architecture, as of all system calls since Linux 5.1.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# linux/landlock.h.
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
# What a file can be used for; all other rights are about folders.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# From which ABI on how many rights about files are known, counted from the lowest bit. Networks, scopes, and whatever
# comes later, are not restricted.
_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}


def forbid_new_privileges() -> None:
    """Have no program that is started from here gain rights that this process has not, by set-user-id or otherwise."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def forbid_dumps() -> None:
    """Leave no core file, and have no other process of this user look into the memory, which holds secrets.

    What /proc/PID says of the memory and the open files is root's to read from then on, and this process's own.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def landlock_abi() -> int | None:
    """Return the version of Landlock that the kernel offers; None where there is none, or none is allowed."""
    version = _call("syscall", _CREATE_RULESET, None, 0, _VERSION)
    return version if version > 0 else None


def restrict_files(
    *, readable: Iterable[str], executable: Iterable[str] = (), changeable: Iterable[str] = ()
) -> int | None:
    """Open no file from now on but these and what is below them, by Landlock; return its ABI, None without it.

    What is open stays open; what is not there is left out. *executable* may be run, and *changeable* changed, as well
    as read. Holds for every process and thread that is started from here, too, and asks for `forbid_new_privileges`.
    """
    abi = landlock_abi()
    if abi is None:
        return None
    every = (1 << max(count for first, count in _RIGHTS.items() if first <= abi)) - 1
    read = _READ_FILE | _READ_DIR
    handled = struct.pack("=Q", every)
    rules = _call("syscall", _CREATE_RULESET, handled, len(handled), 0)
    if rules < 0:  # pragma: no cover - out of descriptors, say
        return None
    try:
        for paths, rights in ((readable, read), (executable, read | _EXECUTE), (changeable, every & ~_EXECUTE)):
            for path in paths:
                _allow(rules, path, rights & every)
        return abi if _call("syscall", _RESTRICT_SELF, rules, 0) == 0 else None
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _OF_FILES
            _call("syscall", _ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _call(name: str, *arguments: bytes | int | None) -> int:
    """Call a function of the C library; return what it does, -1 where it cannot be called."""
    function = _functions()
    return function(name, *arguments) if function is not None else -1


@functools.cache
def _functions() -> Callable[..., int] | None:
    """Return what calls a function of the C library by its name; None where Python was built without ctypes."""
    try:
        import ctypes

        library = ctypes.CDLL(None)
    except (ImportError, OSError):
        return None

    def call(name: str, *arguments: bytes | int | None) -> int:
        # Whole words: of variable arguments (syscall(2)), the C library takes nothing less.
        words = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
        function = library[name]
        function.restype = ctypes.c_long
        return int(function(*words))

    return call
