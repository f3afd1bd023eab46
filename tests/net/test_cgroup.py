"""The CPU quota of control groups, in trees of files and in a real group."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.net import cgroup
from tests.support.process import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

CORES = 64
V1 = "33 32 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "31 23 0:28 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have more cores than any quota here."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(CORES)))


def tree(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Write a tree in which the process is in *groups*, and *files* are below /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("maximum", "cores"),
    [
        ("100000 100000\n", 1), ("150000 100000\n", 2), ("200000 100000\n", 2), ("200001 100000\n", 3),
        ("1000 100000\n", 1), ("max 100000\n", CORES), ("9900000 100000\n", CORES), ("", CORES), ("nonsense\n", CORES),
        ("-1 100000\n", CORES), ("1 0\n", CORES),
    ],
)  # fmt: skip
def test_a_quota_of_version_2_is_rounded_up(tmp_path: Path, maximum: str, cores: int) -> None:
    """A container uses as many cores as its quota pays for, a begun one included, and never none."""
    assert cgroup.usable_cores(tree(tmp_path, "0::/\n", V2.format(root="/"), {"cpu.max": maximum})) == cores


@pytest.mark.parametrize(("quota", "period", "cores"), [("-1", "100000", CORES), ("50000", "20000", 3)])
def test_a_quota_of_version_1(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    """Docker on an older host sees the host's path of its group, and the group itself at the mount."""
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": quota,
        "cpu,cpuacct/cpu.cfs_period_us": period,
        "unified/cgroup.procs": "1\n",
    }
    groups = "5:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n0::/docker/4f\n"

    assert cgroup.usable_cores(tree(tmp_path, groups, V1.format(root="/docker/4f") + HYBRID, files)) == cores


@pytest.mark.parametrize(("outer", "inner"), [("200000", "400000"), ("400000", "200000"), ("max", "200000")])
def test_the_smallest_quota_on_the_way_up_counts(tmp_path: Path, outer: str, inner: str) -> None:
    """A group cannot use more than the groups around it, whichever has the quota."""
    files = {"a/cpu.max": f"{outer} 100000", "a/b/cpu.max": "max 100000", "a/b/c d/cpu.max": f"{inner} 100000"}

    assert cgroup.usable_cores(tree(tmp_path, "0::/a/b/c d\n", V2.format(root="/"), files)) == 2


def test_the_group_is_looked_for_below_what_is_mounted(tmp_path: Path) -> None:
    """A mount that shows a part of the hierarchy has the process's group below it, and its blanks in octal."""
    mounts = V2.format(root="/pod").replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")
    files = {"my groups/x/cpu.max": "300000 100000"}

    assert cgroup.usable_cores(tree(tmp_path, "0::/pod/x\n", mounts, files)) == 3


@pytest.mark.parametrize("groups", ["", "0::/\n", "4:cpu:/\n", "nonsense"])
def test_without_a_quota_every_core_counts(tmp_path: Path, groups: str) -> None:
    """Where nothing is mounted, or nothing can be read, there is no quota."""
    assert cgroup.usable_cores(tree(tmp_path, groups, "nonsense\n - \n", {})) == CORES
    assert cgroup.usable_cores(tmp_path / "nowhere") == CORES


@pytest.fixture
def real_group() -> Iterator[Path]:
    """Make a group with half a core within one of a core and a half."""
    own = [mount for mount in cgroup._mounts(Path("/")) if mount.version == 1 or _has_cpu(mount.place)]
    if not own or os.geteuid():
        pytest.skip("needs root and a hierarchy with the CPU controller")
    outer = own[0].place / "ambassador-test"
    inner = outer / "inner"
    try:
        with contextlib.ExitStack() as undo:
            for folder in (outer, inner):
                folder.mkdir()
                undo.callback(folder.rmdir)
            if own[0].version == 1:
                (outer / "cpu.cfs_quota_us").write_text("150000")
            else:
                (outer / "cpu.max").write_text("150000 100000")
            yield inner
    except PermissionError:
        pytest.skip("needs a hierarchy that can be written")


def _has_cpu(place: Path) -> bool:
    try:
        return "cpu" in (place / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def test_a_real_group(real_group: Path) -> None:
    """A process in a group below one with a quota finds it, wherever this machine has its hierarchies."""
    code = (
        "import os, sys\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "os.sched_getaffinity = lambda _pid: set(range(64))\n"
        "from ambassador.net.cgroup import usable_cores\n"
        "print(usable_cores())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(real_group / "cgroup.procs")],
        check=True, capture_output=True, text=True, env=environment({}), cwd=ROOT,
    )  # fmt: skip

    assert done.stdout == "2\n"
