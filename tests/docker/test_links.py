"""Links on one Docker host: what moves, what comes late, what hangs, and what is longer than one hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300), pytest.mark.usefixtures("linking_engine")]


@pytest.fixture
def redis(docker: Shell, name: Callable[[str], str]) -> str:
    """Start a Redis and give its container's name."""
    redis = name("redis")
    docker(f"docker run -d --name {redis} redis:8")
    docker.until(f"docker exec {redis} redis-cli ping", "PONG")
    return redis


@pytest.fixture
def client(docker: Shell, name: Callable[[str], str]) -> str:
    """Start a container that only serves to run redis-cli in, and give the command that does so."""
    client = name("client")
    docker(f"docker run -d --name {client} redis:8 sleep infinity")
    return f"docker exec {client} redis-cli"


@pytest.fixture
def start(docker: Shell, name: Callable[[str], str], image: str) -> Callable[..., str]:
    """Give a starter of ambassadors: from options of docker run to the name of a ready container."""

    def start(options: str, *, called: str = "ambassador") -> str:
        ambassador = name(called)
        docker(f"docker run -d --name {ambassador} {options} {image}")
        docker.ready(ambassador)
        return ambassador

    return start


def test_restarted_redis_is_found_at_its_new_address(
    docker: Shell, redis: str, client: str, start: Callable[..., str], name: Callable[[str], str]
) -> None:
    """A Redis that restarted elsewhere is reached there, even while another Redis squats its old address."""
    docker(f"docker exec {redis} redis-cli set who redis")
    ambassador = start(f"--link {redis}:redis")
    ask = f"{client} -h {docker.address(ambassador)} get who"
    assert docker(ask) == "redis"
    old = docker.address(redis)
    docker(f"docker exec {redis} redis-cli save")

    docker(f"docker stop {redis}")
    for number in range(20):
        squatter = name(f"squatter{number}")
        docker(f"docker run -d --name {squatter} redis:8")
        if docker.address(squatter) == old:
            break
    docker.until(f"docker exec {squatter} redis-cli set who squatter", "OK")
    docker(f"docker start {redis}")
    docker.until(f"docker exec {redis} redis-cli get who", "redis")

    assert docker.address(squatter) == old
    assert docker.address(redis) != old
    assert docker(ask) == "redis"
    assert "route.upstream_moved" in docker(f"docker logs {ambassador}")


def test_redis_that_comes_late_is_reached_without_restart(
    docker: Shell, client: str, start: Callable[..., str], name: Callable[[str], str]
) -> None:
    """An ambassador that started before its Redis serves it as soon as it is there."""
    network, redis = name("net"), name("redis")
    docker(f"docker network create {network}")
    ambassador = start(f"--network {network} -e REDIS_PORT_6379_TCP=tcp://{redis}:6379")
    docker(f"docker network connect {network} {client.split()[2]}")
    ping = f"{client} -h {ambassador} ping"
    assert docker.attempt(ping)[1] != "PONG"

    docker(f"docker run -d --name {redis} --network {network} redis:8")

    docker.until(ping, "PONG")
    assert docker.inspect(ambassador, "{{.RestartCount}} {{.State.Running}}") == "0 true"


def test_hanging_lookup_delays_neither_another_dial_nor_the_end(
    docker: Shell, redis: str, client: str, start: Callable[..., str], name: Callable[[str], str], peers: str
) -> None:
    """While one name's lookup hangs, another route's clients are served, and SIGTERM ends the process when it is due.

    The lookup alone would take 30 s, and Docker kills after 10 (exit code 137); 1 says that the drain cut a connection.
    """
    dns = name("dns")
    docker(f"docker run -d --name {dns} {peers}-app:dev python3 /silent_dns.py")
    ambassador = start(
        f"--link {redis}:redis --dns {docker.address(dns)} --dns-option timeout:30 "
        "-e HANGS_PORT_7000_TCP=tcp://hangs.example:7000 "
        "-e AMBASSADOR_CONNECT_TIMEOUT=60s -e AMBASSADOR_DRAIN_TIMEOUT=1s"
    )
    address = docker.address(ambassador)
    docker(f"docker exec -d {client.split()[2]} redis-cli -h {address} -p 7000 ping")
    docker.until(f"docker logs {dns}", "asked")

    assert docker(f"{client} -h {address} ping") == "PONG"
    log = docker(f"docker logs {ambassador}").splitlines()
    assert not [line for line in log if "connection.closed" in line and "hangs:7000" in line]

    docker(f"docker stop {ambassador}")
    assert docker.inspect(ambassador, "{{.State.ExitCode}}") == "1"


def test_black_hole_does_not_hide_the_second_endpoint(
    docker: Shell, redis: str, client: str, start: Callable[..., str], name: Callable[[str], str], peers: str
) -> None:
    """A first endpoint that answers nothing leaves enough of the dial's time for a second one that lives."""
    hole = name("hole")
    docker(f"docker run -d --name {hole} {peers}-app:dev python3 /black_hole.py")
    ambassador = start(
        f"-e REDIS_PORT_6379_TCP=tcp://{docker.address(hole)}:6379,tcp://{docker.address(redis)}:6379 "
        "-e AMBASSADOR_CONNECT_TIMEOUT=4s"
    )

    assert docker(f"{client} -h {docker.address(ambassador)} ping") == "PONG"


def test_dial_to_itself_is_refused(
    docker: Shell, client: str, start: Callable[..., str], name: Callable[[str], str]
) -> None:
    """An ambassador whose upstream is itself resets the client once, rather than its own clients without end."""
    network = name("net")
    docker(f"docker network create {network}")
    ambassador = start(f"--network {network} --network-alias redis -e REDIS_PORT_6379_TCP=tcp://redis:6379")
    docker(f"docker network connect {network} {client.split()[2]}")

    assert docker.attempt(f"{client} -h {ambassador} ping")[1] != "PONG"

    log = docker.until(f"docker logs {ambassador}", "connect_failed")
    assert log.count("connection.closed") == 1


def test_chain_of_three_ambassadors(docker: Shell, redis: str, client: str, start: Callable[..., str]) -> None:
    """Three ambassadors in a row carry Redis, though the last one is handed a copy of the second one's variable."""
    first = start(f"--link {redis}:redis --expose 6379", called="first")
    second = start(f"--expose 6379 -e REDIS_PORT_6379_TCP=tcp://{docker.address(first)}:6379", called="second")
    third = start(f"--link {second}:redis", called="third")

    assert docker(f"{client} -h {docker.address(third)} ping") == "PONG"
    for ambassador in (first, second, third):
        assert docker(f"docker logs {ambassador}").count("route.listening") == 1


def test_two_ports_in_one_ambassador(
    docker: Shell, redis: str, client: str, start: Callable[..., str], name: Callable[[str], str], peers: str
) -> None:
    """One ambassador serves the ports of two linked containers side by side."""
    app = name("app")
    docker(f"docker run -d --name {app} {peers}-app:dev")
    ambassador = start(f"--link {redis}:redis --link {app}:helloapp")

    assert docker(f"{client} -h {docker.address(ambassador)} ping") == "PONG"
    fetch = "import urllib.request as r; print(r.urlopen('http://helloapp:5000', timeout=10).read().decode())"
    docker.until(
        f'docker run --rm --add-host helloapp:{docker.address(ambassador)} {peers}-app:dev python3 -c "{fetch}"',
        "Hello World!",
    )
