"""The peers that need no configuration file, and no relay at all."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from bench import ROOT
from bench.ports import LOOPBACK
from bench.processes import Launch
from bench.relays.model import Relay, at, needs

# Docker's own archive, unpacked by hand, comes first: it is newer than what a distribution has. None means the path.
DOCKER_FOLDERS = ("/opt/docker", None, "/usr/libexec/docker", "/usr/sbin")


def docker_proxy_paths() -> list[str]:
    """Find Docker's userland proxies, one of each release."""
    found = [shutil.which("docker-proxy", path=folder) for folder in DOCKER_FOLDERS]
    return list({Path(path).stat().st_size: path for path in reversed(found) if path}.values())[::-1]


def docker_proxy(number: int, listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run docker-proxy *number*; it reports its start at descriptor 3, where dockerd would read."""
    path = docker_proxy_paths()[number]
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


def lacks_docker_proxy(number: int) -> str | None:
    """Say whether there is a docker-proxy *number*."""
    return None if len(docker_proxy_paths()) > number else f"docker-proxy is not installed {number + 1} times"


def floor(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run the relay of this folder that only splices."""
    argv = (sys.executable, "-m", "bench.relays.floor", str(listen), str(upstream))
    return (Launch(argv, listen, {"PYTHONPATH": str(ROOT)}),)


DOCKER_PROXY = Relay("docker-proxy", partial(docker_proxy, 0), partial(lacks_docker_proxy, 0))
# Releases differ by half: those built before Go 1.20 or so splice through a pipe of 64 KiB.
OLDER_DOCKER_PROXY = Relay("docker-proxy, older", partial(docker_proxy, 1), partial(lacks_docker_proxy, 1))
FLOOR = Relay("splice alone", floor)
SOCAT = Relay("socat", socat, needs("socat"))
STREAMS = Relay("asyncio streams", streams)
DIRECT = Relay("no relay", nothing)
