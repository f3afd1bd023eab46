"""Two Docker hosts, and links between them as users of Docker's own ambassador article set them up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.docker.conftest import Shell, Wire

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

OUTAGE = 30.0  # seconds that a connection with data in flight survives (contract, section 4.8)
SLOWEST_RETRANSMIT = 90.0  # TCP doubles its pauses: after 30 s of silence the next attempt may be 26 s away, or 52


@pytest.fixture
def redis_across_hosts(client_server: Shell, big_server: Shell, image: str) -> None:
    """Link the client's host to Redis on the server's host, with the article's commands."""
    big_server("docker run -d --name redis redis:8")
    big_server.until("docker exec redis redis-cli ping", "PONG")
    big_server(f"docker run -d --link redis:redis --name redis_ambassador -p 6379:6379 {image}")
    client_server(
        "docker run -d --name redis_ambassador --expose 6379 -e REDIS_PORT_6379_TCP=tcp://10.77.0.2:6379 " + image
    )
    for host in (client_server, big_server):
        host.ready("redis_ambassador")


@pytest.mark.usefixtures("redis_across_hosts")
def test_article_commands_carry_redis_to_another_host(client_server: Shell, big_server: Shell) -> None:
    """An unmodified redis-cli on one host writes into the Redis on the other after the article's four commands."""
    redis_cli = "docker run -i --rm --link redis_ambassador:redis redis:8 redis-cli -h redis"

    assert client_server(f"{redis_cli} ping") == "PONG"
    assert client_server(f"{redis_cli} set greeting hello") == "OK"
    assert big_server("docker exec redis redis-cli get greeting") == "hello"


def test_web_application_reaches_app_on_another_host(
    client_server: Shell, big_server: Shell, image: str, peers: str
) -> None:
    """An unmodified web application shows what the app on the other host says, by its link's name alone."""
    big_server(f"docker run --detach --name app {peers}-app:dev")
    big_server(f"docker run --detach --name app-ambassador --link app:helloapp --publish 5000:5000 {image}")
    client_server(
        "docker run --detach --name app-ambassador --env HELLOAPP_PORT_5000_TCP=tcp://10.77.0.2:5000 --expose 5000 "
        + image
    )
    client_server(f"docker run --detach --name web --link app-ambassador:helloapp --publish-all {peers}-web:dev")
    published = client_server("docker port web 5000").splitlines()[0].rpartition(":")[2]

    fetch = f"import urllib.request as r; print(r.urlopen('http://10.77.0.1:{published}', timeout=10).read().decode())"
    client_server.until(
        f'docker run --rm --network host {peers}-web:dev python3 -c "{fetch}"',
        'The linked container said... "Hello World!"',
    )


@pytest.mark.usefixtures("redis_across_hosts")
def test_source_ambassador_restarts_under_running_target(client_server: Shell, big_server: Shell) -> None:
    """A target ambassador that was never restarted reaches Redis again once the source ambassador is back."""
    redis_cli = "docker run -i --rm --link redis_ambassador:redis redis:8 redis-cli -h redis"
    assert client_server(f"{redis_cli} ping") == "PONG"
    started = client_server.inspect("redis_ambassador", "{{.State.StartedAt}}")

    big_server("docker stop redis_ambassador")
    assert client_server.attempt(f"{redis_cli} ping")[1] != "PONG"
    big_server("docker start redis_ambassador")

    client_server.until(f"{redis_cli} ping", "PONG")
    assert client_server.inspect("redis_ambassador", "{{.State.StartedAt}}") == started


@pytest.mark.usefixtures("redis_across_hosts")
def test_data_in_flight_survives_thirty_seconds_without_wire(
    client_server: Shell, big_server: Shell, wire: Wire, peers: str
) -> None:
    """A connection with requests and answers under way goes on after a cut of 30 s, without a byte lost or doubled."""
    client_server(f"docker run -d --name counter --link redis_ambassador:redis {peers}-app:dev python3 /count.py")
    client_server.until("docker exec counter cat /counted", "00")
    wire.cut()
    time.sleep(OUTAGE)
    stalled = client_server("docker exec counter cat /counted")
    wire.mend()

    client_server("docker exec counter touch /enough")
    ended = client_server.until("docker logs counter", "counted", patience=SLOWEST_RETRANSMIT)
    assert int(ended.split()[-1]) > int(stalled)
