"""Tunnels: two processes of one kind, the first before the client and the second before the server."""

from __future__ import annotations

import functools
import os
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT
from bench.loads import last_line
from bench.ports import free_port
from bench.processes import Launch
from bench.relays.ambassador import ambassador, refusal
from bench.relays.model import Relay, at, needs

REQUEST = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[end]
basicConstraints = critical,CA:FALSE
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
STUNNEL_TEMPLATE = """\
foreground = yes
debug = err
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[tunnel]
client = {client}
accept = {listen}
connect = {upstream}
PSKsecrets = key
ciphers = PSK
sslVersionMin = TLSv1.3
options = NO_TICKET
sessionResume = no
"""
HAPROXY_TEMPLATE = """\
global
    nbthread 1
    maxconn 4000
    tune.bufsize 65536
    tune.ssl.cachesize 0
defaults
    mode tcp
    maxconn 4000
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen tunnel
    bind {listen}{bind}
    server upstream {upstream}{server}
"""
TLS_BIND = " ssl crt end.pem ca-file ca.pem verify required ssl-min-ver TLSv1.3 no-tls-tickets"
TLS_SERVER = " ssl crt end.pem ca-file ca.pem verify required ssl-min-ver TLSv1.3 no-ssl-reuse"


@dataclass(frozen=True)
class Certificates:
    """An authority, and one certificate and key of it for both ends."""

    authority: bytes
    certificate: bytes
    key: bytes


@functools.cache
def certificates() -> Certificates:
    """Make certificates with openssl, on the curve that every peer takes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "request.cnf").write_text(REQUEST)
        new = ["openssl", "req", "-x509", "-config", "request.cnf", "-newkey", "ec", "-pkeyopt"]
        new += ["ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        authority = ["-extensions", "authority", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"]
        end = ["-extensions", "end", "-subj", "/CN=end", "-keyout", "end.key", "-out", "end.pem"]
        for words in (authority, [*end, "-CA", "ca.pem", "-CAkey", "ca.key"]):
            subprocess.run([*new, *words], cwd=folder, check=True, capture_output=True)
        return Certificates(*((folder / file).read_bytes() for file in ("ca.pem", "end.pem", "end.key")))


def ambassador_pair(
    settings: dict[str, str], files: dict[str, bytes], listen: int, upstream: int
) -> tuple[Launch, ...]:
    """Run a source ambassador and the target ambassador that clients meet."""
    middle = free_port()
    ends = (("source", middle, upstream), ("target", listen, middle))
    launches = [ambassador(near, far, {"AMBASSADOR_TUNNEL": role, **settings}) for role, near, far in ends]
    return tuple(Launch(one.argv, one.port, one.env, secrets=files) for one in launches)


@functools.cache
def tunnel_key() -> bytes:
    """Have Ambassador make a key."""
    argv = [sys.executable, "-m", "ambassador", "keygen"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, env=environment, check=True, capture_output=True).stdout


def with_key(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run a pair of ambassadors that share a key."""
    return ambassador_pair({"AMBASSADOR_TUNNEL_KEY_FILE": "key"}, {"key": tunnel_key()}, listen, upstream)


def with_certificates(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run a pair of ambassadors that know each other by certificates."""
    made = certificates()
    settings = {
        "AMBASSADOR_TUNNEL_CA_FILE": "ca.pem",
        "AMBASSADOR_TUNNEL_CERT_FILE": "end.pem",
        "AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE": "end.key",
    }
    files = {"ca.pem": made.authority, "end.pem": made.certificate, "end.key": made.key}
    return ambassador_pair(settings, files, listen, upstream)


def no_tunnel() -> str | None:
    """Ask whether this Ambassador has a tunnel at all."""
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        try:
            file.write(tunnel_key())
        except subprocess.CalledProcessError as error:
            return f"ambassador keygen: {last_line(error.stderr.decode())}"
        file.flush()
        return refusal({"AMBASSADOR_TUNNEL": "target", "AMBASSADOR_TUNNEL_KEY_FILE": file.name})


def stunnel(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run a pair of stunnels that share a key (TLS 1.3)."""
    middle = free_port()
    key = f"bench:{secrets.token_hex(32)}\n".encode()

    def end(client: str, near: int, far: int) -> Launch:
        text = STUNNEL_TEMPLATE.format(client=client, listen=at(near), upstream=at(far))
        return Launch(("stunnel", "stunnel.conf"), near, files={"stunnel.conf": text}, secrets={"key": key})

    return end("no", middle, upstream), end("yes", listen, middle)


def spiped(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run a pair of spipeds that share a key."""
    middle = free_port()
    key = secrets.token_bytes(32)

    def end(side: str, near: int, far: int) -> Launch:
        ends = ("-s", f"[{at(near).replace(':', ']:')}", "-t", f"[{at(far).replace(':', ']:')}")
        return Launch(("spiped", "-F", side, *ends, "-k", "key", "-n", "500"), near, secrets={"key": key})

    return end("-d", middle, upstream), end("-e", listen, middle)


def haproxy(listen: int, upstream: int) -> tuple[Launch, ...]:
    """Run a pair of HAProxies that know each other by certificates (TLS 1.3, no resumption)."""
    middle = free_port()
    made = certificates()
    files = {"ca.pem": made.authority, "end.pem": made.certificate + made.key}

    def end(near: int, far: int, *, bind: str = "", server: str = "") -> Launch:
        text = HAPROXY_TEMPLATE.format(listen=at(near), upstream=at(far), bind=bind, server=server)
        argv = ("haproxy", "-db", "-f", "haproxy.cfg")
        return Launch(argv, near, files={"haproxy.cfg": text}, secrets=files)

    return end(middle, upstream, bind=TLS_BIND), end(listen, middle, server=TLS_SERVER)


AMBASSADOR_KEY = Relay("ambassador, key", with_key, no_tunnel)
AMBASSADOR_CERTIFICATES = Relay("ambassador, certificates", with_certificates, no_tunnel)
STUNNEL = Relay("stunnel, key", stunnel, needs("stunnel"))
SPIPED = Relay("spiped", spiped, needs("spiped"))
HAPROXY_TLS = Relay("haproxy, certificates", haproxy, needs("haproxy"))
PAIRS = (AMBASSADOR_KEY, AMBASSADOR_CERTIFICATES, STUNNEL, SPIPED, HAPROXY_TLS)
