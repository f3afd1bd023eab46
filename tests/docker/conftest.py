"""Docker engines for the tests: one on this machine, and two hosts of their own where the machine can make them."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
HOSTS = ROOT.parent / "shared" / "docker" / "hosts"
LABEL = "ambassador-test"  # on everything that a test makes, so that everything is found again and removed
PATIENCE = 60.0  # seconds for what takes one or two: a loaded machine with two cores has to get there, too


class Shell:
    """A Docker host's command line. What runs there is labelled, and removed by `clean`."""

    def __init__(self, socket: str | None = None, *, label: str = "") -> None:
        self._engine = ["-H", f"unix://{socket}"] if socket else []
        self._label = f"{LABEL}={label}" if label else LABEL

    def attempt(self, command: str, *, stdin: str = "", patience: float = PATIENCE) -> tuple[int, str]:
        """Run *command* as a user would type it; return its exit status and all that it printed."""
        docker, *words = shlex.split(command)
        assert docker == "docker"
        for verb in (["run"], ["create"], ["network", "create"]):
            if words[: len(verb)] == verb:
                words[len(verb) : len(verb)] = ["--label", self._label]
        done = subprocess.run(
            [docker, *self._engine, *words],
            check=False,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience,
        )
        return done.returncode, done.stdout.strip()

    def __call__(self, command: str, *, stdin: str = "", patience: float = PATIENCE) -> str:
        """Run *command*, which has to succeed; return what it printed."""
        status, output = self.attempt(command, stdin=stdin, patience=patience)
        assert status == 0, f"{command}\nended with {status}:\n{output}"
        return output

    def until(self, command: str, expected: str, *, patience: float = PATIENCE) -> str:
        """Repeat *command* until it prints *expected*; return all that it printed then."""
        deadline = time.monotonic() + patience
        while True:
            status, output = self.attempt(command, patience=patience)
            if expected in output:
                return output
            assert time.monotonic() < deadline, (
                f"{command}\nnever printed {expected!r}, but ended with {status}:\n{output}"
            )
            time.sleep(0.1)

    def ready(self, container: str) -> None:
        """Wait until the ambassador in *container* says that it is ready."""
        self.until(f"docker logs {container}", "ambassador.ready")

    def inspect(self, name: str, template: str) -> str:
        """Return what *template* says of the container or image *name*."""
        return self(f"docker inspect --format '{template}' {name}")

    def address(self, container: str) -> str:
        """Return the container's address on the default bridge."""
        return self.inspect(container, "{{.NetworkSettings.IPAddress}}")

    def clean(self) -> None:
        """Remove every container and network that was made through this command line."""
        for listing, removal in (("docker ps -aq", "docker rm -fv"), ("docker network ls -q", "docker network rm")):
            found = self(f"{listing} --filter label={self._label}").split()
            if found:
                self(f"{removal} {shlex.join(found)}")


class Wire:
    """The wire between the two hosts, which tests cut and mend."""

    def cut(self) -> None:
        """Drop every packet between the hosts."""
        subprocess.run([HOSTS, "cut"], check=True)

    def mend(self) -> None:
        """Pass every packet again. Does nothing where nothing was cut."""
        subprocess.run([HOSTS, "mend"], check=True)


def _absent(reason: str) -> NoReturn:
    """Skip the test for *reason*; where CI promised that nothing is absent, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI is to run every Docker test, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> Shell:
    """Give the command line of this machine's Docker engine."""
    shell = Shell()
    try:
        status, output = shell.attempt("docker version --format {{.Server.Version}}")
    except FileNotFoundError:
        _absent("there is no docker command here")
    if status:
        _absent(f"no Docker engine answers here: {output}")
    return shell


@pytest.fixture(scope="session")
def linking_engine(engine: Shell) -> Shell:
    """Give an engine whose links set environment variables, as engines before 29 do."""
    version = engine("docker version --format {{.Server.Version}}")
    if int(version.split(".")[0]) >= 29:
        _absent(f"Docker Engine {version} sets no link variables")
    return engine


@pytest.fixture(scope="session")
def image(engine: Shell) -> str:
    """Give the name of the image under test, built now unless AMBASSADOR_TEST_IMAGE names one."""
    named = os.environ.get("AMBASSADOR_TEST_IMAGE")
    if named:
        return named
    engine(f"docker build --tag ambassador:dev {ROOT}", patience=600)
    return "ambassador:dev"


@pytest.fixture(scope="session")
def peers(engine: Shell) -> str:
    """Give the common part of the names of the images "app" and "web": ordinary programs that know of no ambassador."""
    for target in ("app", "web"):
        engine(f"docker build --target {target} --tag ambassador-test-{target}:dev {PEERS}", patience=600)
    return "ambassador-test"


@pytest.fixture
def docker(engine: Shell) -> Iterator[Shell]:
    """Give a command line of this machine's engine that removes after the test what the test made."""
    shell = Shell(label=uuid.uuid4().hex)
    yield shell
    shell.clean()


@pytest.fixture
def name() -> Callable[[str], str]:
    """Give a maker of container names that no other test run uses."""
    suffix = uuid.uuid4().hex[:8]
    return lambda word: f"{word}-{suffix}"


@pytest.fixture(scope="session")
def host_engines(linking_engine: Shell, image: str, peers: str) -> tuple[Shell, Shell]:
    """Start two Docker hosts with a wire between them, and load the images into both."""
    if not HOSTS.exists():
        _absent(f"there is no {HOSTS} to make two Docker hosts with")
    if os.geteuid():
        _absent("only root can make two Docker hosts")
    images = ["redis:8", image, f"{peers}-app:dev", f"{peers}-web:dev"]
    subprocess.run([HOSTS, "up", *images], check=True, timeout=300)
    sockets = Path("/run/docker-hosts")
    return Shell(str(sockets / "client-server.sock")), Shell(str(sockets / "big-server.sock"))


@pytest.fixture
def wire(host_engines: tuple[Shell, Shell]) -> Iterator[Wire]:
    """Give the wire between the two hosts, whole before and after the test."""
    wire = Wire()
    wire.mend()
    yield wire
    wire.mend()


@pytest.fixture
def client_server(host_engines: tuple[Shell, Shell], wire: Wire) -> Iterator[Shell]:
    """Give the command line of the host 10.77.0.1, which holds nothing of another test."""
    yield from _emptied(host_engines[0])


@pytest.fixture
def big_server(host_engines: tuple[Shell, Shell], wire: Wire) -> Iterator[Shell]:
    """Give the command line of the host 10.77.0.2, which holds nothing of another test."""
    yield from _emptied(host_engines[1])


def _emptied(shell: Shell) -> Iterator[Shell]:
    shell.clean()
    yield shell
    with contextlib.suppress(subprocess.TimeoutExpired):
        shell.clean()
