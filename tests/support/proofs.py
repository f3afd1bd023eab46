"""What proves an end of a tunnel, as an ambassador's settings and as Python's own TLS client has it."""

from __future__ import annotations

import secrets
import ssl
from typing import TYPE_CHECKING, TypedDict, Unpack

import pytest
import trustme

from ambassador.tunnel import generate
from ambassador.tunnel.credentials import SHARED_KEYS
from ambassador.tunnel.keys import identity, parse

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

Settings = dict[str, str]
needs_keys = pytest.mark.skipif(not SHARED_KEYS, reason="shared keys need Python 3.13")
_KEY = pytest.param("key", marks=needs_keys)
MODES = [_KEY, "certificates"]
# For tests that start ambassadors for each mode: certificates are slow where keys have shown the same.
STARTED_MODES = [_KEY, pytest.param("certificates", marks=[pytest.mark.slow] if SHARED_KEYS else [])]
# For tests that are about one of the two.
with_key = pytest.mark.parametrize("standing", [_KEY], indirect=True, scope="module")
with_certificates = pytest.mark.parametrize("standing", ["certificates"], indirect=True, scope="module")


class Validity(TypedDict, total=False):
    """When a certificate is valid, if not now."""

    not_before: dt.datetime
    not_after: dt.datetime


def write_secret(path: Path, content: str | bytes) -> Path:
    """Put a file that nobody else may read in the place of *path*, as a careful user does: whole, by a rename."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
    fresh.chmod(0o600)
    return fresh.replace(path)


class KeyFile:
    """A file of shared keys."""

    def __init__(self, folder: Path, *keys: str) -> None:
        self.path = folder / f"{secrets.token_hex(4)}.key"
        self.write(*(keys or (generate(),)))

    def write(self, *keys: str) -> None:
        """Make these its keys."""
        self.keys = keys
        write_secret(self.path, "".join(f"{key}\n" for key in keys))

    def settings(self, role: str) -> Settings:
        """Return the settings of an ambassador in that role."""
        return {"TUNNEL": role, "TUNNEL_KEY_FILE": str(self.path)}


class Authority:
    """A certificate authority, and the settings of ends that it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.file = write_secret(folder / f"{secrets.token_hex(4)}.ca", self.ca.cert_pem.bytes())

    def settings(
        self, role: str, *names: str, trusts: Authority | None = None, **validity: Unpack[Validity]
    ) -> Settings:
        """Issue a certificate for *names*; its bearer trusts another authority than this one if told to."""
        stem = self.folder / secrets.token_hex(4)
        leaf = self.ca.issue_cert(*(names or ("127.0.0.1",)), **validity)
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return {
            "TUNNEL": role,
            "TUNNEL_CERT_FILE": str(write_secret(stem.with_suffix(".pem"), chain)),
            "TUNNEL_PRIVATE_KEY_FILE": str(write_secret(stem.with_suffix(".key"), leaf.private_key_pem.bytes())),
            "TUNNEL_CA_FILE": str((trusts or self).file),
        }


def key_client(key: str, *, name: str = "", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Make a client that offers *key*, under another key's name if told to, and verifies nothing."""
    context = careless_client(version=version)
    secret = parse(key)[0]
    offer = (identity(parse(name)[0] if name else secret), secret)
    context.set_psk_client_callback(lambda _hint: offer)  # type: ignore[attr-defined, unused-ignore]  # Python 3.13
    return context


def key_server(key: str) -> ssl.SSLContext:
    """Make a server that knows *key* alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    secret = parse(key)[0]
    name = identity(secret)
    context.set_psk_server_callback(  # type: ignore[attr-defined, unused-ignore]  # Python 3.13
        lambda asked: secret if asked == name else b""
    )
    return context


def certificate_client(
    settings: Settings | None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """Make a client that shows the certificate of *settings*, or none, and verifies nothing."""
    context = careless_client(version=version)
    if settings is not None:
        context.load_cert_chain(settings["TUNNEL_CERT_FILE"], settings["TUNNEL_PRIVATE_KEY_FILE"])
    return context


def careless_client(*, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Make a client that proves nothing and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context
