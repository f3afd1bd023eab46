"""Preludes that confine an ambassador as a container's seccomp profile and limits do, with the kernel's own means."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.deadline import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
# prctl(2), seccomp(2): load the system call's number; clone3 is answered CLONE3, a clone with CLONE_THREAD among its
# flags (the first argument, the lower half of which stands at 16) is answered CLONE, and all else is allowed. 0 allows.
_SECCOMP = """
import array, ctypes, struct
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
answer = lambda number: ERRNO | number if number else ALLOW
program = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x20, 0, 0, 0),
        (0x15, 0, 1, {clone3}),
        (0x06, 0, 0, answer({on_clone3})),
        (0x15, 0, 3, {clone}),
        (0x20, 0, 0, 16),
        (0x45, 0, 1, 0x10000),
        (0x06, 0, 0, answer({on_thread})),
        (0x06, 0, 0, ALLOW),
    )
)
code = array.array("B", program)
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.prctl(38, 1, 0, 0, 0), ctypes.get_errno()
filter_program = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, code.buffer_info()[0]))
assert not libc.prctl(22, 2, filter_program, 0, 0), ctypes.get_errno()
"""
# The same for Landlock's three system calls (landlock(7)), as kernels and engines without it answer.
_NO_LANDLOCK = """
import array, ctypes, struct
program = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x20, 0, 0, 0),
        (0x35, 0, 2, 444),
        (0x25, 1, 0, 446),
        (0x06, 0, 0, 0x00050000 | {number}),
        (0x06, 0, 0, 0x7FFF0000),
    )
)
code = array.array("B", program)
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.prctl(38, 1, 0, 0, 0), ctypes.get_errno()
filter_program = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, code.buffer_info()[0]))
assert not libc.prctl(22, 2, filter_program, 0, 0), ctypes.get_errno()
"""
_JOIN = "import os\nwith open({path!r}, 'w') as file:\n    file.write(str(os.getpid()))\n"
_NAMES = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.unshare(0x20000), ctypes.get_errno()
assert not libc.mount(b"none", b"/", None, 0x44000, None), ctypes.get_errno()
for source, target in {mounts!r}:
    assert not libc.mount(source.encode(), target.encode(), None, 0x1000, None), ctypes.get_errno()
"""


def refused_threads(kind: str) -> str:
    """Return a prelude under which no thread can be started: by `clone3 EPERM`, `clone3 EAGAIN` or `clone EPERM`.

    With the last, clone3 does not exist, so that the C library takes clone, which starts processes, but no threads.
    """
    call, name = kind.split()
    number = getattr(errno, name)
    machine = platform.machine()
    if machine not in _CLONE:
        pytest.skip(f"no number of clone(2) is known here for {machine}")
    on_clone3, on_thread = (number, 0) if call == "clone3" else (errno.ENOSYS, number)
    return _SECCOMP.format(clone3=_CLONE3, clone=_CLONE[machine], on_clone3=on_clone3, on_thread=on_thread)


def refused_landlock(number: int) -> str:
    """Return a prelude under which Landlock's system calls are answered by an error: ENOSYS, EPERM or EOPNOTSUPP."""
    return _NO_LANDLOCK.format(number=number)


def own_names(folder: Path, name_server: str, hosts: str = "127.0.0.1 localhost\n") -> str:
    """Return a prelude that gives the process another name server and hosts file, in a mount namespace of its own."""
    if os.geteuid():
        pytest.skip("only root can mount files over those in /etc")
    (folder / "hosts").write_text(hosts)
    (folder / "resolv.conf").write_text(f"nameserver {name_server}\noptions timeout:30 attempts:1\n")
    mounts = [(str(folder / name), f"/etc/{name}") for name in ("hosts", "resolv.conf")]
    return _NAMES.format(mounts=mounts)


@contextlib.contextmanager
def pids_limit(most: int) -> Iterator[str]:
    """Make a cgroup for *most* processes and threads; give a prelude by which a process joins it."""
    group = _pids_hierarchy() / f"ambassador-test-{uuid.uuid4().hex}"
    try:
        group.mkdir()
        (group / "pids.max").write_text(str(most))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no pids cgroup can be made here: {error}")
    try:
        yield _JOIN.format(path=str(group / "cgroup.procs"))
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text(), "the end of all processes of the cgroup")
        eventually(lambda: _removed(group), "the end of the cgroup")


def _pids_hierarchy() -> Path:
    """Return where cgroups that count processes are made: in version 1 or 2 of cgroups(7)."""
    own = Path("/sys/fs/cgroup/pids")
    return own if own.is_dir() else Path("/sys/fs/cgroup")


def _removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()
