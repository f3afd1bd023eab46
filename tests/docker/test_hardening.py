"""The image under examples/seccomp.json, with no right that it could do without."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ambassador.net.privileges import landlock_abi
from ambassador.tunnel import generate
from tests.support.proofs import write_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.docker.conftest import Shell

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PROFILE = f"--security-opt seccomp={Path(__file__).parents[2] / 'examples' / 'seccomp.json'}"
STRICT = f"{PROFILE} --read-only --cap-drop ALL --security-opt no-new-privileges"
IMAGE_USER = 65532
# What a process of the image says of process 1, by what is in the image.
ASK = """
import json, os, urllib.request
def ask(path):
    return urllib.request.urlopen("http://127.0.0.1:9901" + path, timeout=20).read().decode()
def lines(path):
    return dict(line.split(":", 1) for line in open(path) if ":" in line)
metrics = dict(line.rsplit(" ", 1) for line in ask("/metrics").splitlines() if line.startswith("process_"))
state = lines("/proc/1/status")
limits = dict((line[:26].strip(), line[26:].split()) for line in open("/proc/1/limits"))
print(json.dumps({
    "seccomp": int(state["Seccomp"]), "no_new_privs": int(state["NoNewPrivs"]),
    "core": limits["Max core file size"][:2],
    "most_of_one": float(limits["Max open files"][0]),
    "owners": [
        os.stat(f"/proc/{pid}/environ").st_uid for pid in os.listdir("/proc") if pid.isdigit()
        and (pid == "1" or int(lines(f"/proc/{pid}/status")["PPid"]))
    ],
    "files": float(metrics["process_open_fds"]), "most_files": float(metrics["process_max_fds"]),
    "status": json.loads(ask("/status")), "page": ask("/")[:15],
}))
"""
# Each of these the kernel itself would do for a process of this kind, or refuse for another reason.
FORBIDDEN = """
import ctypes, errno, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def called(name, *arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "done") if getattr(libc, name)(*arguments) < 0 else "done"
def tried(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
print(json.dumps({
    "ptrace": called("ptrace", 0, 0, None, None),
    "process_vm_readv": called("process_vm_readv", os.getpid(), None, 0, None, 0, 0),
    "mount": called("mount", b"none", b"/", b"tmpfs", 0, None),
    "umount2": called("umount2", b"/proc", 0),
    "unshare": called("unshare", 0x10000000),
    "setns": called("setns", 0, 0),
    "clone of a namespace": called("syscall", CLONE, 0x10000011, 0, 0, 0, 0),
    "personality": called("personality", 0xFFFFFFFF),
    "syslog": called("klogctl", 3, None, 0),
    "keyctl": called("syscall", KEYCTL, 0, -3, 0),
    "bpf": called("syscall", BPF, 0, None, 0),
    "io_uring_setup": called("syscall", 425, 1, None),
    "userfaultfd": called("syscall", USERFAULTFD, 0),
    "perf_event_open": called("syscall", PERF, None, 0, -1, -1, 0),
    "mkdir": tried(os.mkdir, "/dev/shm/made"),
    "chmod": tried(os.chmod, "/dev/null", 0o666),
    "unlink": tried(os.unlink, "/dev/shm/none"),
    "rename": tried(os.rename, "/dev/shm/none", "/dev/shm/other"),
    "symlink": tried(os.symlink, "/", "/dev/shm/link"),
    "mkfifo": tried(os.mkfifo, "/dev/shm/fifo"),
    "packets": tried(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM),
    "vsock": tried(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM),
    "crypto": tried(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET),
    "audit": tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 9),
}))
"""
# The numbers of system calls for which the C library has no function.
NUMBERS = {
    "x86_64": {"CLONE": 56, "KEYCTL": 250, "BPF": 321, "USERFAULTFD": 323, "PERF": 298},
    "aarch64": {"CLONE": 220, "KEYCTL": 219, "BPF": 280, "USERFAULTFD": 282, "PERF": 241},
}


def python(docker: Shell, where: str, code: str) -> object:
    """Run *code*, which prints JSON, by the image's Python; return what it printed."""
    flags, _, subject = where.partition(" -- ")
    return json.loads(docker(f"{flags} -i {subject} -I -", stdin=code))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Make a key that the image's user can read, in a folder to mount."""
    if os.getuid():
        pytest.skip("only root can give a file away")
    folder = tmp_path / "tunnel"
    folder.mkdir(mode=0o700)
    write_key(folder)
    os.chown(folder, IMAGE_USER, IMAGE_USER)
    return folder


def write_key(folder: Path, *more: str) -> str:
    """Put a new key, with *more* below it, in the place of the old; return it."""
    made = generate()
    file = write_secret(folder / "tunnel.key.new", "\n".join((made, *more)))
    os.chown(file, IMAGE_USER, IMAGE_USER)
    file.replace(folder / "tunnel.key")
    return made


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tunnel_works_under_the_profile(
    docker: Shell, image: str, name: Callable[[str], str], key: Path, workers: int
) -> None:
    """A link by names and a tunnel serves, reloads keys, answers admin's clients and drains; the kernel confirms."""
    redis, source, target, network = (name(word) for word in ("redis", "source", "target", "network"))
    docker(f"docker network create {network}")
    docker(f"docker run -d --name {redis} --network {network} redis:8")
    docker.until(f"docker exec {redis} redis-cli ping", "PONG")
    for role, container, upstream in (("source", source, redis), ("target", target, source)):
        docker(
            f"docker run -d --name {container} --network {network} {STRICT} -v {key}:/tunnel:ro "
            f"-e AMBASSADOR_TUNNEL={role} -e AMBASSADOR_TUNNEL_KEY_FILE=/tunnel/tunnel.key "
            f"-e AMBASSADOR_WORKERS={workers} -e REDIS_PORT_6379_TCP=tcp://{upstream}:6379 {image}"
        )
    for container in (source, target):
        docker.ready(container)
        docker.until(f"docker inspect --format {{{{.State.Health.Status}}}} {container}", "healthy")
    ping = f"docker exec {redis} redis-cli -h {target} ping"
    assert docker(ping) == "PONG"

    write_key(key)
    for container in (source, target):
        docker(f"docker kill --signal HUP {container}")
        docker.until(f"docker logs {container}", "tunnel.reloaded")
    assert docker(ping) == "PONG"
    docker(f"docker exec {redis} redis-cli -h {target} set bulk {'x' * 100_000}")
    assert len(docker(f"docker exec {redis} redis-cli -h {target} get bulk")) == 100_000

    answer = python(docker, f"docker exec -- {target} python3", ASK)
    assert isinstance(answer, dict)
    assert (answer["seccomp"], answer["no_new_privs"], answer["core"]) == (2, 1, ["0", "0"])
    # Process 1, its workers and what looks at files: what may not be dumped is root's in /proc, as proc(5) has it.
    assert len(answer["owners"]) > workers
    assert set(answer["owners"]) == {0}
    assert answer["status"]["landlock"] == landlock_abi()
    assert answer["page"].lower() == "<!doctype html>"
    processes = workers + (workers > 1)
    assert answer["most_files"] >= answer["most_of_one"] * processes
    assert answer["files"] > 5 * processes
    assert "redis:6379" in docker(f"docker exec {target} ambassador status")
    assert "connected in" in docker(f"docker exec {target} ambassador check --dial")
    for container in (target, source):
        docker(f"docker stop {container}")
        assert docker.inspect(container, "{{.State.ExitCode}}") == "0"
        assert "Traceback" not in docker(f"docker logs {container}")


@pytest.mark.parametrize(("limit", "helpers"), [("", 0), ("--pids-limit 5", 1)])
def test_a_name_is_reached_under_the_profile(
    docker: Shell, image: str, name: Callable[[str], str], limit: str, helpers: int
) -> None:
    """A plain link by a name serves, with threads to look it up, and with a helper process where there are none."""
    redis, ambassador, network = name("redis"), name("ambassador"), name("network")
    docker(f"docker network create {network}")
    docker(f"docker run -d --name {redis} --network {network} redis:8")
    docker.until(f"docker exec {redis} redis-cli ping", "PONG")
    docker(
        f"docker run -d --name {ambassador} --network {network} {STRICT} {limit} "
        f"-e REDIS_PORT_6379_TCP=tcp://{redis}:6379 {image}"
    )
    docker.ready(ambassador)
    assert docker(f"docker exec {redis} redis-cli -h {ambassador} ping") == "PONG"
    docker(f"docker stop {ambassador}")
    assert docker.inspect(ambassador, "{{.State.ExitCode}}") == "0"
    assert docker(f"docker logs {ambassador}").count("resolver.helper_started") == helpers


@pytest.mark.parametrize("options", [STRICT, f"{PROFILE} --user 0 --init"])
def test_the_engine_starts_it_under_the_profile(docker: Shell, image: str, options: str) -> None:
    """The demonstration runs without any right, and where the engine has to set up more after the profile holds."""
    docker(f"docker run --rm {options} {image} demo")


def test_what_the_profile_denies(docker: Shell, image: str) -> None:
    """What an intruder would call to look into other processes, to leave, or to change files, does not exist."""
    machine = docker(f"docker run --rm --entrypoint python3 {image} -c 'import os; print(os.uname().machine)'")
    if machine not in NUMBERS:
        pytest.skip(f"no numbers are known here for {machine}")
    code = "".join(f"{word} = {number}\n" for word, number in NUMBERS[machine].items()) + FORBIDDEN
    run = f"docker run --rm --entrypoint python3 {{}} -- {image}"
    outcomes = python(docker, run.format(f"{PROFILE} --cap-add ALL --user 0"), code)
    assert isinstance(outcomes, dict)
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "ENOSYS"} == {}
    without = python(docker, run.format("--security-opt seccomp=unconfined"), code)
    assert isinstance(without, dict)
    assert "ENOSYS" not in without.values()
