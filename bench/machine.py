"""Where and when a run took place, and with which versions."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
from pathlib import Path

from bench.relays.others import docker_proxy_paths

VERSION_ARGUMENTS = {
    "haproxy": ("-v",),
    "nginx": ("-v",),
    "socat": ("-V",),
    "redis-server": ("-v",),
    "stunnel": ("-version",),
    "spiped": ("-v",),
}
VERSION = re.compile(r"(?:version\s|version:\s|v=|nginx/|stunnel |spiped )\s*(\d[\w.+~-]*)", re.IGNORECASE)


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may: thousands of connections need them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def program_version(program: str) -> str | None:
    """Ask an installed program for its version."""
    if not shutil.which(program):
        return None
    done = subprocess.run([program, *VERSION_ARGUMENTS[program]], capture_output=True, text=True, check=False)
    found = VERSION.search(done.stdout + done.stderr)
    return found[1] if found else "unknown"


def docker_version() -> str | None:
    """Find the releases of docker-proxy: not every one tells its own, so it is that of dockerd beside it."""
    return " and ".join(dockerd_version(Path(path).parent) for path in docker_proxy_paths()) or None


def dockerd_version(folder: Path) -> str:
    """Ask the dockerd of a folder, or else the one on the path."""
    daemon = shutil.which("dockerd", path=str(folder)) or shutil.which("dockerd")
    done = subprocess.run([daemon, "--version"], capture_output=True, text=True, check=False) if daemon else None
    found = VERSION.search(done.stdout) if done else None
    return found[1] if found else "unknown"


def package_version(name: str) -> str | None:
    """Look up an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Name the processor as the kernel does."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def describe(network: str) -> dict[str, str]:
    """Collect what a reader needs to judge the figures, which come from *network*."""
    versions = {
        "python": platform.python_version(),
        "uvloop": package_version("uvloop"),
        **{program: program_version(program) for program in VERSION_ARGUMENTS},
        "docker-proxy": docker_version(),
    }
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "congestion control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "network": network,
        "user": "root" if os.geteuid() == 0 else "not root",
        **{name: version for name, version in versions.items() if version},
    }
