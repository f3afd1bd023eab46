"""How much CPU this process's control group may use (cgroups(7), both versions)."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Mount(NamedTuple):
    """A hierarchy that can limit the CPU: which of its groups is seen where."""

    group: PurePosixPath
    place: Path
    version: int


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores are worth using: those that the process may run on, at most what its quota pays for.

    A quota of one and a half is two, and the least is one. *root* is where `/proc` and what it speaks of are found.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *_quotas(root)]))


def _quotas(root: Path) -> Iterator[int]:
    """Yield the quotas of the process's groups and of all groups around them, in whole cores, rounded up."""
    own = dict(_own_groups(root))
    for mount in _mounts(root):
        group = own.get(mount.version)
        if group is None:
            continue
        # Where a container sees only its own group, the path that the host knows leads nowhere: the mount is the group.
        below = group.relative_to(mount.group) if group.is_relative_to(mount.group) else PurePosixPath()
        for folder in (below, *below.parents):
            quota = _quota(mount.place / folder, mount.version)
            if quota is not None:
                yield quota


def _own_groups(root: Path) -> Iterator[tuple[int, PurePosixPath]]:
    """Yield the process's group in each hierarchy that can limit its CPU, by the version of the hierarchy."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield 1, PurePosixPath(path)


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield where those hierarchies are mounted (proc_pid_mountinfo(5))."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        version = {"cgroup": 1, "cgroup2": 2}.get(kind[0])
        if version == 2 or (version == 1 and "cpu" in kind[2].split(",")):
            group, place = (_unescaped(field) for field in fields[3:5])
            yield _Mount(PurePosixPath(group), root / place.lstrip("/"), version)


def _quota(folder: Path, version: int) -> int | None:
    """Return the quota of one group; None without one."""
    if version == 2:
        words = _text(folder / "cpu.max").split()
    else:
        words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() and int(word) for word in words):
        return None  # "max" and -1: as much as there is
    quota, period = map(int, words)
    return -(-quota // period)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
