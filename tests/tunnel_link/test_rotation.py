"""New keys and certificates for a tunnel that is in use."""

from __future__ import annotations

import contextlib
import functools
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from ambassador.tunnel import generate
from tests.support.deadline import PATIENCE
from tests.support.net import connect, exactly
from tests.support.proofs import certificate_client, key_client, write_secret
from tests.support.rotation import enters, reload
from tests.support.servers import Server, echo

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.conftest import Launch
    from tests.support.proofs import Authority, KeyFile


class Load:
    """Clients that come, ask and go without a pause, and others that stay; every one has to get its own answer."""

    def __init__(self, port: int) -> None:
        self.served = 0
        self.faults: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._come_and_go, self._stay) * 2]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _come_and_go(self) -> None:
        while not self._stop.wait(0.005):
            with self._noting(), connect(self._port) as client:
                self._ask(client, 20_000)

    def _stay(self) -> None:
        with self._noting(), connect(self._port) as client:
            while not self._stop.wait(0.005):
                self._ask(client, 100)

    def _ask(self, client: socket.socket, size: int) -> None:
        question = self.served.to_bytes(4, "big") * (size // 4)
        client.sendall(question)
        assert exactly(client, len(question)) == question
        self.served += 1

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, AssertionError) as error:
            self.faults.append(f"{type(error).__name__}: {error}")


def test_a_key_is_replaced_under_load(ambassador: Launch, key_file: KeyFile, loop_name: str, tmp_path: Path) -> None:
    """The new key below the old in both files, then above it, then alone: no connection is lost on the way."""
    old, new = key_file.keys[0], generate()
    at_target = type(key_file)(tmp_path, old)
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"), loop=loop_name)
        target = ambassador(source.port, settings=at_target.settings("target"), loop=loop_name)
        assert enters(source.port, key_client(old))
        with Load(target.port) as load:
            for keys in ((old, new), (new, old), (new,)):
                before = load.served
                reload(source, functools.partial(key_file.write, *keys))
                reload(target, functools.partial(at_target.write, *keys))
            source.wait_for("connection.closed", len(source.named("connection.closed")) + 20)
        assert load.faults == []
        assert load.served > before > 0
        assert not enters(source.port, key_client(old))
        assert enters(source.port, key_client(new))
    assert {line["end"] for line in target.closed()} == {"closed"}


@pytest.mark.slow
def test_a_changed_file_needs_no_signal(ambassador: Launch, key_file: KeyFile) -> None:
    """A key file that was renamed into place is used, though nobody said so, and live connections stay."""
    old, new = key_file.keys[0], generate()
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))
        with connect(source.port) as raw, key_client(old).wrap_socket(raw) as client:
            client.sendall(b"before")
            assert client.recv(6) == b"before"

            key_file.write(new)
            source.wait_for("tunnel.reloaded")

            client.sendall(b"after")
            assert client.recv(5) == b"after"
            assert not enters(source.port, key_client(old))
            assert enters(source.port, key_client(new))


@pytest.mark.parametrize("broken", ["", "no key\n", "ambassador-key-1:short\n", None])
def test_a_broken_new_file_is_refused(ambassador: Launch, key_file: KeyFile, broken: str | None) -> None:
    """A file that cannot serve changes nothing but the log, which names the setting and not the content."""
    key = key_file.keys[0]
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))

        def spoil() -> None:
            if broken is None:
                key_file.path.unlink()
            else:
                write_secret(key_file.path, broken)

        reload(source, spoil, event="tunnel.reload_failed")

        (event,) = source.named("tunnel.reload_failed")
        assert event["variable"] == "AMBASSADOR_TUNNEL_KEY_FILE"
        assert event["level"] == "warning"
        assert "short" not in event["problem"].replace("ambassador-key-1:", "")
        assert enters(source.port, key_client(key))

        reload(source, lambda: key_file.write(key))
        assert enters(source.port, key_client(key))


def test_a_careless_mode_is_refused_at_a_reload(ambassador: Launch, key_file: KeyFile) -> None:
    """A new key that others may read is not used, and the log says how to mend it."""
    old, new = key_file.keys[0], generate()
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))

        def open_up() -> None:
            key_file.write(new)
            key_file.path.chmod(0o644)

        reload(source, open_up, event="tunnel.reload_failed")

        assert "chmod o-r" in source.named("tunnel.reload_failed")[0]["problem"]
        assert enters(source.port, key_client(old))
        assert not enters(source.port, key_client(new))


def test_a_removed_key_enters_by_no_session(ambassador: Launch, key_file: KeyFile) -> None:
    """Whoever was let in by a key has nothing left to come in by when the key is removed; who is in stays."""
    old, new = key_file.keys[0], generate()
    context = key_client(old)
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))
        with connect(source.port) as raw, context.wrap_socket(raw) as client:
            client.sendall(b"before")
            assert client.recv(6) == b"before"
            session = client.session
            assert session is not None
            assert not session.has_ticket

            reload(source, lambda: key_file.write(new))

            assert not enters(source.port, context, session=session)
            assert not enters(source.port, context)
            client.sendall(b"after")
            assert client.recv(5) == b"after"
    assert [line["end"] for line in source.closed(3)].count("handshake_failed") == 2


def test_a_removed_authority_enters_by_no_session(
    ambassador: Launch, authority: Authority, stranger: Authority
) -> None:
    """With certificates, too, an authority that is no longer trusted opens nothing, whatever its bearers remember."""
    settings = authority.settings("source")
    context = certificate_client(authority.settings("target"))
    newcomer = certificate_client(stranger.settings("target"))
    file = Path(settings["TUNNEL_CA_FILE"])
    own = file.with_name("changing.ca")
    write_secret(own, file.read_bytes())
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings={**settings, "TUNNEL_CA_FILE": str(own)})
        with connect(source.port) as raw, context.wrap_socket(raw) as client:
            client.sendall(b"before")
            assert client.recv(6) == b"before"
            assert not enters(source.port, newcomer)

            reload(source, lambda: write_secret(own, stranger.file.read_bytes()))

            assert not enters(source.port, context, session=client.session)
            assert enters(source.port, newcomer)
            client.sendall(b"after")
            assert client.recv(5) == b"after"


def test_certificates_are_replaced_under_load(ambassador: Launch, authority: Authority) -> None:
    """New certificates of both ends come into use while connections come and go, and none is lost."""
    source_files, target_files = authority.settings("source"), authority.settings("target")

    def renew(files: dict[str, str], role: str) -> Callable[[], None]:
        def write() -> None:
            fresh = authority.settings(role)
            for name in ("TUNNEL_PRIVATE_KEY_FILE", "TUNNEL_CERT_FILE"):
                Path(fresh[name]).replace(files[name])

        return write

    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=source_files)
        target = ambassador(source.port, settings=target_files)
        before = presented(source.port, target_files)
        with Load(target.port) as load:
            reload(source, renew(source_files, "source"))
            reload(target, renew(target_files, "target"))
            source.wait_for("connection.closed", len(source.named("connection.closed")) + 20)
        assert load.faults == []
        assert load.served
        assert presented(source.port, target_files) != before


def presented(port: int, files: dict[str, str]) -> bytes | None:
    """Return the certificate that the source presents."""
    with connect(port) as raw, certificate_client(files).wrap_socket(raw) as client:
        return client.getpeercert(binary_form=True)


def test_a_folder_that_others_may_write_is_refused_at_a_reload(ambassador: Launch, key_file: KeyFile) -> None:
    """A new key in a folder that has become open to others is not used until that is mended, which needs no signal."""
    old, new = key_file.keys[0], generate()
    folder = key_file.path.parent
    with Server(echo) as upstream:
        source = ambassador(upstream.port, settings=key_file.settings("source"))

        def open_up() -> None:
            key_file.write(new)
            folder.chmod(0o777)

        reload(source, open_up, event="tunnel.reload_failed")

        assert f"chmod go-w {folder}" in source.named("tunnel.reload_failed")[0]["problem"]
        assert enters(source.port, key_client(old))
        folder.chmod(0o700)
        source.wait_for("tunnel.reloaded")
        assert enters(source.port, key_client(new))
