"""The codec beside OpenSSL's own programs, over real sockets."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.tunnel import CHUNK, Codec, HandshakeError, Tunnel, codec, contexts, generate, keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = keys.parse(generate())[0]
PATIENCE = 30.0  # for a program to start on a busy machine


class Client:
    """`openssl s_client`, and the socket and the codec that serve it."""

    def __init__(self, *arguments: str, tunnel: Tunnel) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", *arguments]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            self.socket, _ = listener.accept()
        self.socket.settimeout(PATIENCE)
        self.codec: Codec = tunnel.codec()

    def shake(self) -> None:
        """Shake hands, or raise; what has to be sent is sent in any case."""
        try:
            while not self.codec.established:
                try:
                    self.codec.handshake(self._receive())
                finally:
                    self.socket.sendall(self.codec.outgoing())
        except HandshakeError:
            self.socket.shutdown(socket.SHUT_WR)
            raise

    def _receive(self) -> bytes:
        data = self.socket.recv(CHUNK)
        assert data, "the client has gone"
        return data

    def read(self, count: int) -> bytes:
        """Read *count* bytes of plaintext."""
        read = bytes(self.codec.decrypt())
        while len(read) < count:
            read += self.codec.decrypt(self._receive())
        return read

    def type(self, text: bytes) -> None:
        """Type at the client's terminal."""
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def says(self) -> str:
        """End its input, and return all that the client printed."""
        return self.process.communicate(timeout=PATIENCE)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """End the client."""
        self.socket.close()
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def source(key_folder: Path) -> Tunnel:
    """Return a source's tunnel in key mode."""
    return contexts.key_tunnel([KEY], server_side=True)


@pytest.fixture
def connect(source: Tunnel) -> Iterator[Any]:
    """Return what starts a client and serves it."""
    clients = []

    def start(*arguments: str) -> Client:
        clients.append(Client(*arguments, tunnel=source))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def test_a_client_with_the_key_is_served(connect: Any) -> None:
    """OpenSSL's client gets through with the key under its identity, and is offered no ticket to come back with."""
    client = connect("-tls1_3", "-psk", KEY.hex(), "-psk_identity", keys.identity(KEY))
    client.shake()
    client.type(b"hello\n")
    assert client.read(6) == b"hello\n"
    client.socket.sendall(client.codec.encrypt(b"and to you") + client.codec.end())

    said = client.says()

    assert "and to you" in said
    assert "Session Ticket" not in said
    assert "Reused, TLSv1.3" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-tls1_3"], "the peer offers no known key"),
        (
            ["-tls1_3", "-psk", "00" * 32, "-psk_identity", "Client_identity"],
            "the peer offers no known key",
        ),
        (["-tls1_3", "-psk", "00" * 32], "the peer does not hold the key it names"),
        (["-tls1_2"], "the peer does not speak TLS 1.3"),
        (["-tls1_2", "-cipher", "PSK", "-psk", KEY.hex()], "the peer does not speak TLS 1.3"),
    ],
)
def test_other_clients_are_refused(connect: Any, arguments: list[str], reason: str) -> None:
    """Without a key, with a wrong one, and with an older TLS, OpenSSL's client is refused, and reads why."""
    if "-psk" in arguments and "-psk_identity" not in arguments:
        arguments = [*arguments, "-psk_identity", keys.identity(KEY)]
    client = connect(*arguments)
    with pytest.raises(HandshakeError, match=f"^{reason}$"):
        client.shake()

    assert not client.codec.established
    assert "alert" in client.says()


def test_key_updates_are_followed(connect: Any) -> None:
    """A client that changes its keys, and asks for ours to change, is understood before, in between and after."""
    client = connect("-tls1_3", "-psk", KEY.hex(), "-psk_identity", keys.identity(KEY))
    client.shake()
    for turn in range(3):
        client.type(b"K\n")
        client.codec.decrypt(client._receive())
        client.type(b"turn %d\n" % turn)
        assert client.read(7) == b"turn %d\n" % turn
        client.socket.sendall(client.codec.encrypt(b"answer %d\n" % turn))
    client.socket.sendall(client.codec.end())

    said = client.says()

    assert all(f"answer {turn}" in said for turn in range(3))


def test_key_updates_without_end_are_given_up(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that makes us owe it answers, while we have nothing to say, is given up at the limit."""
    monkeypatch.setattr(codec, "_UNSENT_LIMIT", 500)
    client = connect("-tls1_3", "-psk", KEY.hex(), "-psk_identity", keys.identity(KEY))
    client.shake()
    asked = 0
    while not client.codec.broken:
        client.type(b"K\n")
        client.codec.decrypt(client._receive())
        asked += 1

    assert client.codec.broken == "too many key updates from the peer"
    assert 10 < asked < 25
    assert 500 < len(client.codec.outgoing()) < 600


def shake(target: Codec, sock: socket.socket) -> None:
    """Go on with a handshake that *target* has begun."""
    while not target.handshake(sock.recv(CHUNK)):
        sock.sendall(target.outgoing())


def test_a_server_with_a_certificate_gets_nothing(key_folder: Path, tmp_path: Path) -> None:
    """OpenSSL's server in the middle, with a certificate of its own, ends no handshake and reads no byte."""
    certificate = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-keyout", certificate, "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(certificate), "-tls1_3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert server.stdout
            line = b""
            while not line.startswith(b"ACCEPT "):
                line = server.stdout.readline()
                assert line, "the server has gone"
            target = contexts.key_tunnel([KEY], server_side=False).codec()
            target.handshake()
            with socket.create_connection(("127.0.0.1", int(line.rpartition(b":")[2])), PATIENCE) as sock:
                sock.sendall(target.outgoing())
                with pytest.raises(HandshakeError, match="certificate was refused"):
                    shake(target, sock)
                sock.sendall(target.outgoing())
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(CHUNK):
                    pass
            assert not target.established
        finally:
            server.kill()
