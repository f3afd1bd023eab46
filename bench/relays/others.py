"""The peers that need no configuration file, and no relay at all."""

from __future__ import annotations

import shutil
import sys

from bench import ROOT
from bench.ports import LOOPBACK
from bench.processes import Launch
from bench.relays.model import Relay, at, needs

# Docker's own archive, unpacked by hand, comes first: it is newer than what a distribution has. None means the path.
DOCKER_FOLDERS = ("/opt/docker", None, "/usr/libexec/docker", "/usr/sbin")


def docker_proxy_path() -> str | None:
    """Find Docker's userland proxy."""
    return next(filter(None, (shutil.which("docker-proxy", path=folder) for folder in DOCKER_FOLDERS)), None)


def docker_proxy(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run docker-proxy; it reports its start at descriptor 3, where dockerd would read."""
    path = docker_proxy_path() or "docker-proxy"
    there = ("-host-ip", LOOPBACK, "-host-port", str(listen), "-container-ip", LOOPBACK)
    argv = ("sh", "-c", 'exec "$0" "$@" 3>/dev/null', path, "-proto", "tcp", *there, "-container-port", str(upstream))
    return (Launch(argv, listen),)


def socat(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run socat as the first ambassador images did, with a larger buffer and without Nagle's delay."""
    source = f"TCP4-LISTEN:{listen},bind={LOOPBACK},fork,reuseaddr,nodelay,backlog=4096"
    return (Launch(("socat", "-b", "1048576", "-t", "100000000", source, f"TCP4:{at(upstream)},nodelay"), listen),)


def streams(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run the naive relay of this folder."""
    argv = (sys.executable, "-m", "bench.relays.streams", str(listen), str(upstream))
    return (Launch(argv, listen, {"PYTHONPATH": str(ROOT)}),)


def nothing(_listen: int, _upstream: int) -> tuple[Launch, ...]:
    """Run nothing: clients reach the upstream itself."""
    return ()


DOCKER_PROXY = Relay(
    "docker-proxy", docker_proxy, lambda: None if docker_proxy_path() else "docker-proxy is not installed"
)
SOCAT = Relay("socat", socat, needs("socat"))
STREAMS = Relay("asyncio streams", streams)
DIRECT = Relay("no relay", nothing)
