"""The tunnel that the settings ask for, made from its files, and made again when they change."""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ambassador.config.problems import path_shown
from ambassador.errors import ConfigurationError, Problem
from ambassador.tunnel import files
from ambassador.tunnel.contexts import Tunnel, certificate_tunnel, key_tunnel
from ambassador.tunnel.keys import KeyFileError, parse
from ambassador.tunnel.reasons import reason_of

if TYPE_CHECKING:
    from pathlib import Path

# ssl.HAS_PSK came with Python 3.13, too: an OpenSSL may be built without.
SHARED_KEYS = sys.version_info >= (3, 13) and ssl.HAS_PSK

_KEY = "AMBASSADOR_TUNNEL_KEY_FILE"
_CERTIFICATE = "AMBASSADOR_TUNNEL_CERT_FILE"
_PRIVATE_KEY = "AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE"
_AUTHORITY = "AMBASSADOR_TUNNEL_CA_FILE"
_ONE_OF_BOTH = f"name {_KEY}, or {_CERTIFICATE}, {_PRIVATE_KEY} and {_AUTHORITY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelFiles:
    """What the settings say of a tunnel, as AMBASSADOR_TUNNEL_*: a shared key, or certificates.

    Attributes:
        server_side: a source ambassador, which is dialled, rather than a target, which dials.
        peers: the DNS or URI names of which the peer's certificate must bear one; none: the default of the role.
    """

    server_side: bool
    key: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    authority: Path | None = None
    peers: tuple[str, ...] = ()

    def named(self) -> dict[str, Path]:
        """Return the files by the variables that name them."""
        every = {_KEY: self.key, _CERTIFICATE: self.certificate, _PRIVATE_KEY: self.private_key}
        return {name: path for name, path in {**every, _AUTHORITY: self.authority}.items() if path is not None}


class Credentials:
    """Keys or certificates as their files have them. Looks at the files only when told to.

    Attributes:
        tunnel: what new connections use; to be taken anew for each.
    """

    def __init__(self, source: TunnelFiles) -> None:
        """Read the files.

        Raises:
            ConfigurationError: they cannot serve, or there are none, or some of both kinds.
        """
        _check_choice(source)
        self._source = source
        self._seen = self._look()
        self.tunnel = _load(source)

    def reload(self, *, force: bool = False) -> bool:
        """Read the files again if they changed, or if *force*; tell whether new connections use what they hold now.

        Raises:
            ConfigurationError: the new files cannot serve; the old state stays. Told once for each state of the files.
        """
        seen = self._look()
        if seen == self._seen and not force:
            return False
        # Looked at before they are read: after a change in between the next look differs, and nothing is missed.
        self._seen = seen
        self.tunnel = _load(self._source)
        return True

    def _look(self) -> tuple[files.Signature, ...]:
        return tuple(map(files.signature, self._source.named().values()))


def _check_choice(source: TunnelFiles) -> None:
    """Make sure that there is a shared key, or all of what certificates need, and that this Python can use it."""
    missing = {_CERTIFICATE, _PRIVATE_KEY, _AUTHORITY}.difference(source.named())
    if source.key is None:
        if len(missing) == 3:
            role = "source" if source.server_side else "target"
            _refuse("AMBASSADOR_TUNNEL", role, "there is nothing to prove it by", _ONE_OF_BOTH)
        if missing:
            raise ConfigurationError(
                tuple(
                    Problem(name, "", "it is missing", "certificates need all three files") for name in sorted(missing)
                )
            )
    elif len(missing) < 3:
        _refuse_file(_KEY, source.key, "both a shared key and certificates are given", _ONE_OF_BOTH)
    elif source.peers:
        _refuse("AMBASSADOR_TUNNEL_PEERS", ",".join(source.peers), "a shared key bears no name", "leave it out")
    elif not SHARED_KEYS:
        _refuse_file(_KEY, source.key, "a shared key needs Python 3.13", "use the image, which has it, or certificates")


def _load(source: TunnelFiles) -> Tunnel:
    if source.key is not None:
        return key_tunnel(_read_keys(source.key), server_side=source.server_side)
    certificate, private_key, authority = source.certificate, source.private_key, source.authority
    assert certificate and private_key and authority  # noqa: S101, PT018 - `_check_choice` has seen to it
    _check_texts(certificate, private_key, authority)
    try:
        return certificate_tunnel(
            certificate, private_key, authority=authority, peers=source.peers, server_side=source.server_side
        )
    except ssl.SSLError as error:
        _blame(certificate, private_key, authority, error=error)
    except OSError as error:
        _refuse_file(_CERTIFICATE, certificate, f"it cannot be read: {error.strerror}", "it was there a moment ago")


def _read_keys(path: Path) -> tuple[bytes, ...]:
    try:
        return parse(files.read(path, secret=True))
    except files.UnusableFileError as error:
        _refuse_file(_KEY, path, error.wrong, error.right)
    except KeyFileError as error:
        right = "one key a line, as `ambassador keygen` prints it"
        raise ConfigurationError(tuple(_problem(_KEY, path, line, right) for line in error.lines)) from None


def _check_texts(certificate: Path, private_key: Path, authority: Path) -> None:
    """Tell all that can be seen to be wrong without OpenSSL, which does not say which file it means."""
    problems = []
    for name, path, what in (
        (_CERTIFICATE, certificate, "certificate"),
        (_PRIVATE_KEY, private_key, "private key"),
        (_AUTHORITY, authority, "certificate"),
    ):
        try:
            text = files.read(path, secret=path is private_key)
        except files.UnusableFileError as error:
            problems.append(_problem(name, path, error.wrong, error.right))
            continue
        if f"{what.upper()}-----" not in text:
            problems.append(_problem(name, path, f"it holds no {what}", f"give the {what} in PEM form"))
        elif path is private_key and "ENCRYPTED" in text:
            problems.append(_problem(name, path, "it is encrypted", "give it without a passphrase"))
    if problems:
        raise ConfigurationError(tuple(problems))


def _blame(certificate: Path, private_key: Path, authority: Path, *, error: ssl.SSLError) -> NoReturn:
    """Find out which of the files it is that OpenSSL refused."""
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, path in ((_CERTIFICATE, certificate), (_AUTHORITY, authority)):
        try:
            probe.load_verify_locations(cafile=path)
        except OSError:
            _refuse_file(name, path, "it holds no certificate that can be read", "give the certificate in PEM form")
    if error.reason == "KEY_VALUES_MISMATCH":
        _refuse_file(
            _PRIVATE_KEY,
            private_key,
            f"it is not the key of {path_shown(str(certificate))}",
            "give the two that belong together",
        )
    if error.reason:
        _refuse_file(_CERTIFICATE, certificate, f"it cannot be used: {reason_of(error)}", "make a stronger one")
    _refuse_file(_PRIVATE_KEY, private_key, "it holds no private key that can be read", "give the key in PEM form")


def _refuse_file(name: str, path: Path, wrong: str, right: str) -> NoReturn:
    raise ConfigurationError((_problem(name, path, wrong, right),)) from None


def _problem(name: str, path: Path, wrong: str, right: str) -> Problem:
    return Problem(name, path_shown(str(path)), wrong, right)


def _refuse(name: str, value: str, wrong: str, right: str) -> NoReturn:
    raise ConfigurationError((Problem(name, value, wrong, right),)) from None
