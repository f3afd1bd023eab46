"""User-defined networks, where Docker sets no link variables: by name, and what is said without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def network(docker: Shell, name: Callable[[str], str]) -> str:
    """Make a network with a Redis called redis in it, and give its name."""
    network = name("net")
    docker(f"docker network create {network}")
    docker(f"docker run -d --name {name('redis')} --network {network} --network-alias redis redis:8")
    docker.until(f"docker exec {name('redis')} redis-cli ping", "PONG")
    return network


def test_link_by_name(docker: Shell, network: str, name: Callable[[str], str], image: str) -> None:
    """A variable with a name in it is a link where Docker sets none."""
    ambassador = name("ambassador")
    docker(f"docker run -d --name {ambassador} --network {network} -e REDIS_PORT_6379_TCP=tcp://redis:6379 {image}")
    docker.ready(ambassador)

    assert docker(f"docker run --rm --network {network} redis:8 redis-cli -h {ambassador} ping") == "PONG"


def test_message_without_any_link(docker: Shell, network: str, name: Callable[[str], str], image: str) -> None:
    """An ambassador that finds no link variable on a user network says what a link looks like, and exits 2."""
    status, output = docker.attempt(f"docker run --rm --network {network} --link {name('redis')}:redis {image}")

    assert status == 2
    assert "_PORT_" in output
    assert "_TCP=tcp://" in output
    assert "Traceback" not in output


def test_message_for_docker_29(docker: Shell, image: str, tmp_path: Path) -> None:
    """Where /etc/hosts shows a link without its variables, the exact -e to add is printed."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1\tlocalhost\n172.17.0.2\tredis 0123456789ab redis_1\n172.17.0.3\tba9876543210\n")
    hosts.chmod(0o644)
    status, output = docker.attempt(f"docker run --rm --hostname ba9876543210 -v {hosts}:/etc/hosts:ro {image}")

    assert status == 2
    assert "Docker Engine 29" in output
    assert "-e REDIS_PORT_<PORT>_TCP=tcp://redis:<PORT>" in output
    assert "Traceback" not in output
