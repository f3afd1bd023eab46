"""The image itself: what is in it, as whom it runs, and what it can do without."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

MEGABYTE = 1_000_000
STRICT = "--read-only --cap-drop ALL --security-opt no-new-privileges"
ROUTE = "-e REDIS_PORT_6379_TCP=tcp://127.0.0.1:6380"  # nothing is there, and nothing needs to be


def test_size(docker: Shell, image: str) -> None:
    """The image takes at most 60 MB unpacked and 22 MB compressed."""
    assert int(docker.inspect(image, "{{.Size}}")) <= 60 * MEGABYTE
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        assert save.stdout is not None
        assert len(gzip.compress(save.stdout.read(), compresslevel=9)) <= 22 * MEGABYTE


def test_configuration(docker: Shell, image: str) -> None:
    """The image starts ambassador as uid 65532, is stopped by SIGTERM, checks its health, and says what it is."""
    config = json.loads(docker.inspect(image, "{{json .Config}}"))

    assert config["User"].split(":")[0] == "65532"
    assert config["Entrypoint"] == ["ambassador"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "ambassador", "healthcheck"]
    for label in ("title", "description", "version", "licenses"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]


def test_nothing_but_what_runs(docker: Shell, image: str, name: Callable[[str], str]) -> None:
    """There is neither a shell nor a package manager in the image, nor a file that its user could write."""
    docker(f"docker create --name {name('image')} {image}")
    with (
        subprocess.Popen(["docker", "export", name("image")], stdout=subprocess.PIPE) as export,
        tarfile.open(fileobj=export.stdout, mode="r|") as archive,
    ):
        files = list(archive)
    names = {file.name.rpartition("/")[2] for file in files}

    assert not names & {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "perl"}
    assert {file.uid for file in files} == {0}
    assert not [file.name for file in files if file.mode & 0o022 and not file.issym()]


def test_runs_with_no_rights_at_all(docker: Shell, image: str, name: Callable[[str], str]) -> None:
    """A foreign user without capabilities on a read-only root serves Redis and is healthy."""
    docker(f"docker run -d --name {name('redis')} redis:8")
    docker.until(f"docker exec {name('redis')} redis-cli ping", "PONG")
    link = f"-e REDIS_PORT_6379_TCP=tcp://{docker.address(name('redis'))}:6379"
    docker(f"docker run -d --name {name('ambassador')} {STRICT} --user 12345:54321 {link} {image}")
    docker.ready(name("ambassador"))

    address = docker.address(name("ambassador"))
    assert docker(f"docker exec {name('redis')} redis-cli -h {address} ping") == "PONG"
    docker.until(f"docker inspect --format {{{{.State.Health.Status}}}} {name('ambassador')}", "healthy")


def test_listens_below_1024(docker: Shell, image: str, name: Callable[[str], str]) -> None:
    """Ports 80 and 443 are served without a capability."""
    ambassador = name("ambassador")
    docker(
        f"docker run -d --name {ambassador} {STRICT} "
        f"-e WEB_PORT_80_TCP=tcp://127.0.0.1:8080 -e WEB_PORT_443_TCP=tcp://127.0.0.1:8443 {image}"
    )
    docker.ready(ambassador)

    log = docker(f"docker logs {ambassador}")
    assert "web:80" in log
    assert "web:443" in log


def test_health_follows_the_ambassador(docker: Shell, image: str, name: Callable[[str], str]) -> None:
    """The health check in the container says 0 while the ambassador is ready, and 1 where nothing answers."""
    ambassador = name("ambassador")
    docker(f"docker run -d --name {ambassador} {ROUTE} {image}")
    docker.ready(ambassador)

    assert docker.attempt(f"docker exec {ambassador} ambassador healthcheck")[0] == 0
    assert docker.attempt(f"docker run --rm {ROUTE} {image} healthcheck")[0] == 1


def test_idle_ambassador_stops_at_once(docker: Shell, image: str, name: Callable[[str], str]) -> None:
    """The stop of an idle ambassador takes less than 1.5 s, the best of three counting, and ends with 0 each time."""
    ambassador = name("ambassador")
    docker(f"docker run -d --name {ambassador} {ROUTE} {image}")
    seconds = []
    for attempt in range(1, 4):
        docker(f"docker start {ambassador}")
        deadline = time.monotonic() + 60
        while docker(f"docker logs {ambassador}").count("ambassador.ready") < attempt:
            assert time.monotonic() < deadline
        begin = time.monotonic()
        docker(f"docker stop {ambassador}")
        seconds.append(time.monotonic() - begin)
        assert docker.inspect(ambassador, "{{.State.ExitCode}}") == "0"

    assert min(seconds) < 1.5, seconds


def test_demo_runs_in_the_image(docker: Shell, image: str) -> None:
    """The demonstration runs where nothing can be written."""
    docker(f"docker run --rm {STRICT} {image} demo")
