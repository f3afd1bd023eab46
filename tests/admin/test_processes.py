"""The metrics of the operating system's processes."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.core import GaugeMetricFamily

from ambassador.admin.processes import _completed
from tests.support.deadline import eventually
from tests.support.net import LOCAL
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch

# Another user from then on: the kernel lets no one but root list its files (PR_SET_DUMPABLE), as with a tunnel. What is
# imported late comes first, since this Python may be another user's.
ANOTHER_USER = """
import os, encodings.ascii, encodings.idna
from ambassador.admin.page import Page
import ambassador.admin.server, ambassador.cli, ambassador.commands.run, ambassador.workers.supervisor
Page.load()
os.setresgid(65532, 65532, 65532)
os.setresuid(65532, 65532, 65532)
"""
UNCOUNTED = """
from ambassador.admin import processes
from tests.support.prelude import replace
replace(processes, "_count_files", lambda pid: 0)
"""
WORKERS = {"WORKERS": "2"}


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@as_root
def test_files_that_cannot_be_listed_are_counted(watch: Watch, serve: Serve) -> None:
    """Open files and their limit are those of all processes, also of workers whose files this user may not list."""
    if not os.stat("/proc/self/fd").st_size:
        pytest.skip("the kernel counts them since Linux 6.2")
    admin = watch(serve(hold).port, settings=WORKERS, prelude=ANOTHER_USER, files=500)
    before = admin.metric("process_open_fds")
    clients = [admin.ambassador.connect() for _ in range(20)]
    eventually(lambda: admin.metric("process_open_fds") >= before + 40)
    assert admin.metric("process_max_fds") == 1500
    for client in clients:
        client.close()


def test_the_size_of_the_folder_is_the_count() -> None:
    """What is told of one process beside the list of its files is how many there are, and may be."""
    if not os.stat("/proc/self/fd").st_size:
        pytest.skip("the kernel counts them since Linux 6.2")
    with subprocess.Popen(["sleep", "60"]) as process:
        eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        known = GaugeMetricFamily("process_resident_memory_bytes", "Memory.", value=1)
        told = {family.name: family.samples[0].value for family in _completed([known], str(process.pid))}
        process.kill()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert told == {known.name: 1, "process_open_fds": 3, "process_max_fds": most}


@as_root
def test_what_is_not_known_of_all_is_not_told(watch: Watch) -> None:
    """Where an old kernel counts no files, there is no sum of what is known of some: the CPU's stays."""
    told = watch(f"tcp://{LOCAL}:9", settings=WORKERS, prelude=ANOTHER_USER + UNCOUNTED).ask("/metrics").body
    assert "process_cpu_seconds_total" in told
    assert "process_open_fds" not in told
