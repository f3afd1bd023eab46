"""A tunnel between two Docker hosts, set up by the README's own lines, and what a listener on the wire sees of it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.support.deadline import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300), pytest.mark.usefixtures("linking_engine")]

REDIS_CLI = "docker run -i --rm --link redis_ambassador:redis redis:8 redis-cli -h redis"
SECRET = "correct-horse-battery-staple"  # noqa: S105 - what must not be read on the wire
OWNER = f"{os.getuid()}:{os.getgid()}"
IMAGE_USER = 65532
ROOT = Path(__file__).parents[2]


@pytest.fixture
def on_the_wire(tmp_path: Path, big_server: Shell) -> Iterator[Path]:
    """Listen on the wire between the hosts; give the file with everything that passes, which is whole after `stop`."""
    recording = tmp_path / "wire.pcap"
    command = ["ip", "netns", "exec", "big-server", "tcpdump", "-i", "wire", "-U", "-s", "0", "-w", str(recording)]
    tcpdump = subprocess.Popen([*command, "-Z", "root", "tcp"], stderr=subprocess.PIPE, text=True)
    assert tcpdump.stderr is not None
    with tcpdump.stderr:
        assert "listening on wire" in tcpdump.stderr.readline()
        try:
            yield recording
        finally:
            tcpdump.send_signal(signal.SIGINT)
            tcpdump.wait(60)


def settled(recording: Path, client: Shell) -> bytes:
    """Return what was recorded, once a last plain word has passed the wire, and so everything before it."""
    mark = b"this-is-the-end-of-the-recording"
    fetch = f"import socket; s = socket.create_connection(('10.77.0.2', 9999), 10); s.sendall({mark!r}); s.close()"
    client(f"docker run --rm --network host ambassador-test-app:dev python3 -c {shlex.quote(fetch)}")
    eventually(lambda: mark in recording.read_bytes(), "the last word is recorded")
    return recording.read_bytes()


@pytest.fixture
def marker(big_server: Shell, peers: str) -> None:
    """Listen on the server's host for the last plain word, which proves that plain words are seen."""
    listen = "import socket; s = socket.create_server(('', 9999)); print('here', flush=True); s.accept()[0].recv(99)"
    big_server(f"docker run -d --name marker --network host {peers}-app:dev python3 -c {shlex.quote(listen)}")
    big_server.until("docker logs marker", "here")


@pytest.fixture
def redis(big_server: Shell) -> None:
    """Start a Redis on the server's host."""
    big_server("docker run -d --name redis redis:8")
    big_server.until("docker exec redis redis-cli ping", "PONG")


def start_pair(client_server: Shell, big_server: Shell, image: str, *, source: str, target: str) -> None:
    """Start both ambassadors, with these options of docker run."""
    big_server(
        "docker run -d --name redis_ambassador --link redis:redis -p 6379:6379 "
        f"-e AMBASSADOR_TUNNEL=source {source} {image}"
    )
    client_server(
        "docker run -d --name redis_ambassador --expose 6379 -e REDIS_PORT_6379_TCP=tcp://10.77.0.2:6379 "
        f"-e AMBASSADOR_TUNNEL=target {target} {image}"
    )
    for host in (client_server, big_server):
        host.ready("redis_ambassador")


def talk(client_server: Shell, big_server: Shell) -> None:
    """Ping the Redis through both ambassadors, and have it keep the secret."""
    assert client_server(f"{REDIS_CLI} ping") == "PONG"
    assert client_server(f"{REDIS_CLI} set password {SECRET}") == "OK"
    assert big_server("docker exec redis redis-cli get password") == SECRET


def keygen(image: str, folder: Path) -> Path:
    """Make a key in *folder*, as the README does."""
    folder.mkdir()
    subprocess.run(["sh", "-c", f"(umask 077; docker run --rm {image} keygen >tunnel.key)"], check=True, cwd=folder)
    assert (folder / "tunnel.key").stat().st_mode & 0o777 == 0o600
    return folder


def readme_commands(image: str, folder: Path) -> list[str]:
    """Return the commands of the README's section on tunnels, for this image, these hosts and a user in *folder*."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("### Encrypt the hop between hosts")[2]
    block = section.partition("```sh\n")[2].partition("```")[0].replace("\\\n", " ")
    commands = [line.partition("  #")[0].strip() for line in block.splitlines()]
    for written, here in (
        ('"$(id -u):$(id -g)"', OWNER), ("$PWD", str(folder)), ("192.168.1.52", "10.77.0.2"),
    ):  # fmt: skip
        commands = [command.replace(written, here) for command in commands]
    return [re.sub(r"(?<= )ambassador(?= |$)", image, command) for command in commands]


@pytest.mark.usefixtures("redis", "marker", "peers")
def test_a_shared_key_closes_the_hop(
    client_server: Shell, big_server: Shell, image: str, tmp_path: Path, on_the_wire: Path
) -> None:
    """The README's three commands have Redis answer across hosts, and the wire shows none of the words."""
    make_key, start_source, start_target = readme_commands(image, tmp_path)
    subprocess.run(["sh", "-c", make_key], check=True, cwd=tmp_path)
    (key,) = (tmp_path / "keys").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600

    big_server(start_source)
    client_server(start_target)
    for host in (client_server, big_server):
        host.ready("redis_ambassador")
    talk(client_server, big_server)

    seen = settled(on_the_wire, client_server)
    assert len(seen) > 1000
    for word in (SECRET, "PONG", "ping", "password", key.read_text().strip()):
        assert word.encode() not in seen
    # Whoever comes to the published port without the key is turned away.
    status, said = client_server.attempt("docker run --rm redis:8 redis-cli -h 10.77.0.2 ping")
    assert "PONG" not in said, status
    big_server.until("docker logs redis_ambassador", "handshake_failed")


@pytest.mark.usefixtures("redis", "marker", "peers")
def test_the_same_words_are_read_where_there_is_no_tunnel(
    client_server: Shell, big_server: Shell, image: str, on_the_wire: Path
) -> None:
    """Without a tunnel the recording shows every word, so that its silence elsewhere means something."""
    start_pair(client_server, big_server, image, source="-e AMBASSADOR_TUNNEL=off", target="-e AMBASSADOR_TUNNEL=off")
    talk(client_server, big_server)

    seen = settled(on_the_wire, client_server)
    assert SECRET.encode() in seen
    assert b"PONG" in seen


@pytest.mark.usefixtures("redis", "marker", "peers")
def test_certificates_close_the_hop(
    client_server: Shell, big_server: Shell, image: str, tmp_path: Path, on_the_wire: Path
) -> None:
    """With certificates of one authority at both ends Redis answers, and the wire shows none of the words."""
    ca = trustme.CA()
    options = {}
    for role, names in (("source", ["10.77.0.2"]), ("target", ["client-server.example"])):
        folder = tmp_path / role
        folder.mkdir()
        leaf = ca.issue_cert(*names)
        (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        (folder / "key.pem").write_bytes(leaf.private_key_pem.bytes())
        (folder / "ca.pem").write_bytes(ca.cert_pem.bytes())
        (folder / "key.pem").chmod(0o600)
        options[role] = (
            f"-v {folder}:/tunnel:ro --user {OWNER} -e AMBASSADOR_TUNNEL_CERT_FILE=/tunnel/cert.pem "
            "-e AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE=/tunnel/key.pem -e AMBASSADOR_TUNNEL_CA_FILE=/tunnel/ca.pem"
        )

    start_pair(
        client_server, big_server, image,
        source=f"{options['source']} -e AMBASSADOR_TUNNEL_PEERS=client-server.example", target=options["target"],
    )  # fmt: skip
    talk(client_server, big_server)

    seen = settled(on_the_wire, client_server)
    for word in (SECRET, "PONG", "password"):
        assert word.encode() not in seen


@pytest.mark.usefixtures("redis")
def test_a_key_is_replaced_in_its_folder(client_server: Shell, big_server: Shell, image: str, tmp_path: Path) -> None:
    """A key that is renamed into the mounted folders is used within seconds, without a restart or a signal."""
    folder = keygen(image, tmp_path / "tunnel")
    options = f"-v {folder}:/tunnel:ro --user {OWNER} -e AMBASSADOR_TUNNEL_KEY_FILE=/tunnel/tunnel.key"
    start_pair(client_server, big_server, image, source=options, target=options)
    talk(client_server, big_server)

    keygen(image, tmp_path / "new").joinpath("tunnel.key").replace(folder / "tunnel.key")

    for host in (client_server, big_server):
        host.until("docker logs redis_ambassador", "tunnel.reloaded")
        assert host.inspect("redis_ambassador", "{{.RestartCount}}") == "0"
    talk(client_server, big_server)


def test_the_image_s_own_user_reads_a_key_that_is_its_own(docker: Shell, image: str, tmp_path: Path) -> None:
    """Without --user a key file has to belong to the image's user; the message says so, with both ways out."""
    if os.getuid():
        pytest.skip("only root can give a file away")
    folder = keygen(image, tmp_path / "tunnel")
    check = f"docker run --rm -v {folder}:/tunnel:ro -e AMBASSADOR_TUNNEL=source "
    check += f"-e AMBASSADOR_TUNNEL_KEY_FILE=/tunnel/tunnel.key {image} check 6379=redis:6379"

    status, said = docker.attempt(check)
    assert status == 2
    assert f"chown {IMAGE_USER} /tunnel/tunnel.key" in said
    assert f"--user {OWNER}" in said

    os.chown(folder / "tunnel.key", IMAGE_USER, IMAGE_USER)
    os.chown(folder, IMAGE_USER, IMAGE_USER)
    assert docker.attempt(check)[0] == 0


def test_a_key_that_others_may_read_is_refused(docker: Shell, image: str, tmp_path: Path) -> None:
    """A key file with a careless mode ends the start with exit code 2 and the command that mends it."""
    folder = keygen(image, tmp_path / "tunnel")
    (folder / "tunnel.key").chmod(0o644)
    run = f"docker run --rm -v {folder}:/tunnel:ro --user {OWNER} -e AMBASSADOR_TUNNEL=source "
    run += f"-e AMBASSADOR_TUNNEL_KEY_FILE=/tunnel/tunnel.key {image} 6379=redis:6379"

    status, said = docker.attempt(run)

    assert status == 2
    assert "chmod o-r /tunnel/tunnel.key" in said


@pytest.mark.parametrize(
    ("user", "told"), [("0", "belongs to uid 1000"), ("65532", "its folder /keys is closed to it")]
)
def test_a_key_of_another_user_is_told_with_what_helps(
    docker: Shell, image: str, tmp_path: Path, user: str, told: str
) -> None:
    """A key made by a user of the host is for no other user, not even for root; both ways out of the message work."""
    if os.getuid():
        pytest.skip("only root can give a file away")
    folder = keygen(image, tmp_path / "keys")
    folder.chmod(0o700)
    for path in (folder, folder / "tunnel.key"):
        os.chown(path, 1000, 1000)
    tmp_path.chmod(0o755)

    def check(user: str) -> tuple[int, str]:
        return docker.attempt(
            f"docker run --rm -v {folder}:/keys:ro --user {user} -e AMBASSADOR_TUNNEL=source "
            f"-e AMBASSADOR_TUNNEL_KEY_FILE=/keys/tunnel.key {image} check 6379=redis:6379"
        )

    status, said = check(user)
    assert status == 2
    assert told in said
    assert f"chown {user} /keys" in said
    assert "--user 1000:1000" in said
    assert check("1000:1000")[0] == 0
    for path in (folder, folder / "tunnel.key"):
        os.chown(path, int(user), int(user))
    assert check(user)[0] == 0


def test_a_key_comes_as_a_secret(docker: Shell, image: str, tmp_path: Path) -> None:
    """A key under /run/secrets is taken with whatever mode the orchestrator gave it."""
    folder = keygen(image, tmp_path / "tunnel")
    (folder / "tunnel.key").chmod(0o444)

    with contextlib.suppress(PermissionError):
        folder.chmod(0o755)
    status, said = docker.attempt(
        f"docker run --rm -v {folder}:/run/secrets:ro -e AMBASSADOR_TUNNEL=source "
        f"-e AMBASSADOR_TUNNEL_KEY_FILE=/run/secrets/tunnel.key {image} check 6379=redis:6379"
    )

    assert status == 0, said
