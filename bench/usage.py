"""What processes cost: CPU time and memory of a process and all its children, as the kernel accounts them."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS = os.sysconf("SC_CLK_TCK")
SETTLED = 0.05  # seconds without any CPU time: the work is done, closing included
SETTLE_TIMEOUT = 2.0  # a relay that never rests is measured as it is


def descendants(pid: int) -> list[int]:
    """List the living children of *pid*, their children and so on; the deepest come first."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in listing.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [*descendants(child), child]
    return found


def own_seconds(pid: int) -> float:
    """Read the user and system time of all threads of *pid*, dead threads too, in nanosecond precision.

    The clock's number is how Linux names another process's CPU clock (clock_getcpuclockid(3), CPUCLOCK_SCHED).
    """
    try:
        return time.clock_gettime((~pid) << 3 | 2)
    except OSError:
        return 0.0


def reaped_seconds(pid: int) -> float:
    """Read the time of children of *pid* that ended and were waited for, in ticks of 10 ms (proc_pid_stat(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / TICKS


def cpu_seconds(roots: Iterable[int]) -> float:
    """Add up the CPU time of *roots* and of all their children, living and ended.

    Children come before their parents: what ends in between is found in its parent's sum.
    """
    every = [pid for root in roots for pid in (*descendants(root), root)]
    return sum(own_seconds(pid) + reaped_seconds(pid) for pid in every)


def settled_cpu_seconds(roots: Iterable[int]) -> float:
    """Wait until the processes rest, then read their CPU time: closing connections is part of the work."""
    roots = tuple(roots)
    deadline = time.monotonic() + SETTLE_TIMEOUT
    before = cpu_seconds(roots)
    while time.monotonic() < deadline:
        time.sleep(SETTLED)
        now = cpu_seconds(roots)
        if now - before < SETTLED / 100:
            return now
        before = now
    return before


def memory(roots: Iterable[int], *fields: str) -> int:
    """Add up *fields* of smaps_rollup, such as `Rss` or `Private_Dirty`, over *roots* and their children, in bytes."""
    total = 0
    for root in roots:
        for pid in (*descendants(root), root):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            sizes = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE))
            total += sum(int(sizes.get(field, 0)) for field in fields) * 1024
    return total


def private_memory(roots: Iterable[int]) -> int:
    """Measure the user memory that belongs to these processes alone, in bytes."""
    return memory(roots, "Private_Clean", "Private_Dirty")


def resident_memory(roots: Iterable[int]) -> int:
    """Measure the resident memory, pages of shared libraries included, in bytes."""
    return memory(roots, "Rss")
