"""The compose files: a whole link in one command, and one host of a link each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "two-hosts"


@pytest.fixture
def link(docker: Shell, name: Callable[[str], str]) -> Iterator[str]:
    """Bring the whole link up as the README says, and give the start of a compose command for it."""
    compose = f"docker compose --file {ROOT}/docker-compose.yml --project-name {name('link')}"
    try:
        docker(f"{compose} up --build --wait", patience=600)
        yield compose
    finally:
        docker(f"{compose} down --timeout 2", patience=120)


@pytest.fixture
def example(image: str, tmp_path: Path) -> Path:
    """Give the folder of the example for two hosts, with the image under test."""
    for file in EXAMPLE.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text().replace("ambassador:dev", image))
    return tmp_path


def test_app_reaches_redis_through_both_ambassadors_only(docker: Shell, link: str) -> None:
    """The app has its visits counted by a Redis that it can reach neither by name nor by address."""
    redis = docker(f"{link} exec -T redis hostname -i")

    assert int(docker(f"{link} exec -T app redis-cli -h target-ambassador get visits")) > 0
    assert docker(f"{link} exec -T redis redis-cli exists visits") == "1"
    for address in ("redis", redis):
        assert docker.attempt(f"{link} exec -T app timeout 2 redis-cli -h {address} ping")[1] != "PONG"


def test_example_for_two_hosts(
    client_server: Shell, big_server: Shell, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example's two files, one a host, carry an unmodified redis-cli to the Redis on the other host."""
    monkeypatch.setenv("BIG_SERVER", "10.77.0.2")
    on_big_server = f"docker compose --file {example}/big-server.yml --project-name example"
    on_client_server = f"docker compose --file {example}/client-server.yml --project-name example"
    try:
        big_server(f"{on_big_server} up --wait")
        client_server(f"{on_client_server} up --wait")

        assert client_server(f"{on_client_server} run --rm app").endswith("PONG")
    finally:
        client_server(f"{on_client_server} --profile client down --timeout 2")
        big_server(f"{on_big_server} down --timeout 2")
