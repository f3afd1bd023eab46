"""Engines and limits that let a container have no threads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

# What Docker up to 20.10.9 answers to clone3, without which the C library of the image starts no thread.
NO_CLONE3 = f"--security-opt seccomp={Path(__file__).parent / 'no-clone3.json'}"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("limit", [NO_CLONE3, "--pids-limit 5"])
def test_a_name_is_reached_without_threads(
    docker: Shell, image: str, name: Callable[[str], str], limit: str, workers: int
) -> None:
    """With hardly a thread to be had the image reaches a server by its name, is healthy, and stops in order."""
    redis, ambassador, network = name("redis"), name("ambassador"), name("network")
    docker(f"docker network create {network}")
    docker(f"docker run -d --name {redis} --network {network} redis:8")
    docker.until(f"docker exec {redis} redis-cli ping", "PONG")
    docker(
        f"docker run -d --name {ambassador} --network {network} {limit} -e AMBASSADOR_WORKERS={workers} "
        f"-e REDIS_PORT_6379_TCP=tcp://{redis}:6379 {image}"
    )
    docker.ready(ambassador)
    for _ in range(5):
        assert docker(f"docker exec {redis} redis-cli -h {ambassador} ping") == "PONG"
    docker.until(f"docker inspect --format {{{{.State.Health.Status}}}} {ambassador}", "healthy")
    docker(f"docker exec {ambassador} ambassador wait --timeout 20s")
    assert "connected in" in docker(f"docker exec {ambassador} ambassador check --dial")
    docker(f"docker stop {ambassador}")
    log = docker(f"docker logs {ambassador}")
    assert docker.inspect(ambassador, "{{.State.ExitCode}}") == "0"
    assert '"event":"ambassador.stopped","exit_code":0' in log
    assert "Traceback" not in log


def test_the_demo_needs_no_threads(docker: Shell, image: str) -> None:
    """The demonstration runs where clone3 is refused."""
    docker(f"docker run --rm {NO_CLONE3} {image} demo")
