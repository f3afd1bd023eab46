"""What strangers cost others: `python -m bench.strangers [KIND ...] [--before CHECKOUT] [--sockets 4,64]`.

A client plays ping-pong through an established relay, first alone, then beside strangers at full speed, and the health
check is asked three times meanwhile. Each KIND is a way to make an ambassador work for nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import ROOT, loads
from bench.origin import origin
from bench.ports import LOOPBACK, free_port, wait_for_listener

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 5.0
CHECKS = 3
PAUSE = 0.002  # without one, a percentile would be mostly of the moments in which the ambassador is free


class Kind(NamedTuple):
    """A way to make work: what the ambassador is told, what strangers do, and with what."""

    settings: dict[str, str]
    how: str
    hello: bytes = b""
    admin: bool = False  # they come to the admin address
    rate: int = 0  # silent ones a second


def hello(context: ssl.SSLContext) -> bytes:
    """Return a client's first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake of one flight")


def in_records_of_one_byte(message: bytes) -> bytes:
    """Cut a ClientHello up as finely as TLS allows."""
    return b"".join(b"\x16\x03\x01\x00\x01" + message[5 + at : 6 + at] for at in range(len(message) - 5))


def client(folder: Path) -> ssl.SSLContext:
    """Make a client that verifies nothing, of TLS 1.3; with a key in *folder* it offers that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if (folder / "key").exists():
        from ambassador.tunnel.keys import identity, parse

        key = parse((folder / "key").read_text())[0]
        context.set_psk_client_callback(lambda _hint: (identity(key), key))  # type: ignore[attr-defined, unused-ignore]  # Python 3.13
    return context


def certificates(folder: Path, *algorithm: str) -> dict[str, str]:
    """Have openssl make a certificate that is its own authority; return the settings that name it."""
    folder.mkdir()
    key, certificate = folder / "private", folder / "certificate"
    subject = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    words = ["openssl", "req", "-x509", "-nodes", "-keyout", str(key), "-out", str(certificate), *algorithm, *subject]
    subprocess.run(words, check=True, capture_output=True)
    key.chmod(0o600)
    names = {"CERT": certificate, "PRIVATE_KEY": key, "CA": certificate}
    return {"TUNNEL": "source", **{f"TUNNEL_{name}_FILE": str(path) for name, path in names.items()}}


def kinds(folder: Path) -> Iterator[tuple[str, Kind]]:
    """Make every kind; keys and certificates are made in *folder*."""
    from ambassador.tunnel import generate

    keys = folder / "keys"
    keys.mkdir()
    (keys / "key").write_text(generate() + "\n")
    (keys / "key").chmod(0o600)
    by_key = {"TUNNEL": "source", "TUNNEL_KEY_FILE": str(keys / "key")}
    first = hello(client(keys))
    plain = hello(client(folder))
    yield "key", Kind(by_key, "whole", first)
    yield (
        "ec",
        Kind(certificates(folder / "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "whole", plain),
    )
    yield "rsa", Kind(certificates(folder / "rsa", "-newkey", "rsa:4096"), "whole", plain)
    yield "records", Kind(by_key, "whole", in_records_of_one_byte(first))
    yield "large", Kind(by_key, "whole", b"\x16\x03\x01\x40\x00\x01\x00\xff\xf0" + bytes(60_000))
    yield "reset", Kind({}, "reset")
    yield "allow", Kind({"ALLOW": "127.0.0.2"}, "whole", b"?")
    yield "proxy", Kind({"PROXY_PROTOCOL_FROM": "127.0.0.1"}, "bytes", b"PROXY TCP4 " + b"1" * 100)
    yield "silent", Kind(by_key, "silent", rate=1500)
    yield "admin", Kind({}, "whole", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", admin=True)


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """Listen for those who have nothing to prove, and close at once: the origin would make a process for each."""
    with socket.create_server((LOOPBACK, 0), backlog=1024) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def measure(kind: Kind, root: Path, sockets: int) -> dict[str, object]:
    """Run an ambassador of the checkout *root*, with a route that strangers come to and one of an established relay."""
    ports = attacked, quiet, admin = free_port(), free_port(), free_port()
    nowhere = subprocess.DEVNULL
    with origin() as upstream, sink() as nothing, tempfile.TemporaryDirectory() as folder:
        settings = {"ADMIN": f"{LOOPBACK}:{admin}", "BIND": LOOPBACK, "LOG_FORMAT": "json", **kind.settings}
        for name in ("TUNNEL", "ALLOW", "PROXY_PROTOCOL_FROM"):
            if name in settings:
                settings[name] = f"{'off' if name == 'TUNNEL' else ''} :{attacked}={settings[name]}"
        env = {f"AMBASSADOR_{name}": value for name, value in settings.items()}
        for port, behind in ((attacked, nothing), (quiet, upstream)):
            env[f"A_PORT_{port}_TCP"] = f"tcp://{LOOPBACK}:{behind}"
        env |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
        words = [sys.executable, "-P", "-m", "ambassador"]
        with subprocess.Popen(words, env=env, stderr=nowhere) as process:
            try:
                for port in ports:
                    wait_for_listener(port, process)
                alone = loads.run("pingpong", quiet, SECONDS / 2, PAUSE)
                (first := Path(folder) / "hello").write_bytes(kind.hello)
                attack = loads.arguments(
                    "strangers", admin if kind.admin else attacked, 2 * SECONDS, kind.rate or sockets, kind.how, first
                )
                with subprocess.Popen(attack, cwd=ROOT, stdout=subprocess.PIPE, text=True) as strangers:
                    beside = loads.run("pingpong", quiet, SECONDS, PAUSE)
                    checks = [subprocess.call([*words, "healthcheck"], env=env, stdout=nowhere) for _ in range(CHECKS)]
                    came = json.loads(strangers.communicate()[0])
            finally:
                process.terminate()
    times = {
        f"{name} ms": f"{alone[name]:.1f} -> {beside[name]:.1f}" for name in ("p50", "p99", "p99.9")
    }  # fmt: skip
    return {"a second": round(came["rate"]), "their CPU": round(came["cpu"], 2), **times, "passed": checks.count(0)}


def main() -> None:
    """Print a line for each kind, number of sockets and checkout."""
    parser = argparse.ArgumentParser(prog="python -m bench.strangers", description=__doc__)
    parser.add_argument("kind", nargs="*")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--sockets", default="4,64")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in kinds(Path(folder)):
            for sockets in map(int, arguments.sockets.split(",")):
                for root in filter(None, (arguments.before, ROOT)):
                    if not arguments.kind or name in arguments.kind:
                        found = measure(kind, root, sockets)
                        print(name, sockets, "now" if root == ROOT else "before", found, flush=True)


if __name__ == "__main__":
    main()
