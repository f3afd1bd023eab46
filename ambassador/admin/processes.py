"""The metrics of the operating system's processes that make up an ambassador: this one, and its workers."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

_FILES, _MOST_FILES = "process_open_fds", "process_max_fds"


class Processes:
    """Write the process metrics, added up over this process and its children.

    Counting the open files of ten thousand connections takes some twenty milliseconds. In a thread it was measured to
    hold the event loop for fourteen all the same, and a parent of workers forks, which a thread makes unsafe (fork(2)).
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector())

    def write(self) -> bytes:
        """Return the metrics as they are now."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self) -> None:
        self._pid = "self"
        self._one = ProcessCollector(pid=lambda: self._pid, registry=None)

    def describe(self) -> list[Metric]:
        """Return nothing: a registry would otherwise collect once when it is told of this."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family: the earliest start, and sums of everything else."""
        values: dict[tuple[str, str, str], list[float]] = {}
        for self._pid in ("self", *_children()):
            for family in _completed(list(self._one.collect()), self._pid):
                found = values.setdefault((family.type, family.name, family.documentation), [])
                found.extend(sample.value for sample in family.samples)
        for (kind, name, text), found in values.items():
            if name == _FILES and 0 in found:
                continue  # a sum of what is known of some would be wrong
            if kind == "counter":
                # With what children used that are no more, so that it never falls.
                ended = resource.getrusage(resource.RUSAGE_CHILDREN)
                yield CounterMetricFamily(name, text, value=sum(found) + ended.ru_utime + ended.ru_stime)
            else:
                yield GaugeMetricFamily(
                    name, text, value=min(found) if name.endswith("_start_time_seconds") else sum(found)
                )


def _completed(families: list[Metric], pid: str) -> list[Metric]:
    """Add to what is known of a process its open files, where it does not let them be listed.

    That is so of a worker that holds the key of a tunnel (PR_SET_DUMPABLE, proc(5)), but for root.
    """
    if not families or any(family.name == _FILES for family in families):
        return families
    try:
        most = resource.prlimit(int(pid), resource.RLIMIT_NOFILE)[0]
        count = _count_files(pid)
    except OSError:  # pragma: no cover - it has just ended
        return families
    told = [(_FILES, "Number of open file descriptors.", count)]
    told.append((_MOST_FILES, "Maximum number of open file descriptors.", most))
    return [*families, *(GaugeMetricFamily(name, text, value=value) for name, text, value in told)]


def _count_files(pid: str) -> int:
    """Return how many files a process has open: the size of the folder, since Linux 6.2; before that 0."""
    return os.stat(f"/proc/{pid}/fd").st_size


def _children() -> list[str]:
    """Return the numbers of the child processes (proc_pid_task(5)); none where the kernel does not tell."""
    found: list[str] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found += file.read().split()
    except OSError:  # pragma: no cover - or a thread has just ended: the next scrape tells
        return []
    return found
