"""The tunnel that the settings ask for, made from its files, and made again when they change.

Whether the settings choose exactly one kind of tunnel is decided in `config.rules`, and taken for granted here.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ambassador.config.in_time import look_in_time
from ambassador.config.problems import path_shown
from ambassador.errors import ConfigurationError, Problem
from ambassador.tunnel import files
from ambassador.tunnel.contexts import Tunnel, certificate_tunnel, key_tunnel
from ambassador.tunnel.files import lend
from ambassador.tunnel.keys import KeyFileError, parse
from ambassador.tunnel.reasons import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ambassador.config.files import Look
    from ambassador.tunnel.codec import Codec

    Looks = Mapping[Path, Look]

# ssl.HAS_PSK came with Python 3.13, like the support itself; OpenSSL may be built without it (OPENSSL_NO_PSK).
SHARED_KEYS = sys.version_info >= (3, 13) and ssl.HAS_PSK

_KEY = "AMBASSADOR_TUNNEL_KEY_FILE"
_CERTIFICATE = "AMBASSADOR_TUNNEL_CERT_FILE"
_PRIVATE_KEY = "AMBASSADOR_TUNNEL_PRIVATE_KEY_FILE"
_AUTHORITY = "AMBASSADOR_TUNNEL_CA_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelFiles:
    """The files of a tunnel, as AMBASSADOR_TUNNEL_* name them: a shared key, or all three for certificates.

    Attributes:
        server_side: of a source ambassador, which is dialled, rather than a target, which dials.
        peers: DNS or URI names, one of which the peer's certificate must hold; none: as `certificate_tunnel` says.
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
    """Keys or certificates as their files have them. Looks at the files only when asked to.

    Attributes:
        tunnel: for new connections; look it up for each, since a reload replaces it.
    """

    def __init__(self, source: TunnelFiles, looks: Looks | None = None) -> None:
        """Take what *looks* have found in the files; without them look now, which blocks.

        Raises:
            ConfigurationError: they cannot be used; it carries every problem that was found.
        """
        self._source = source
        looks = look_at(source) if looks is None else looks
        self._seen = self._state(looks)
        self.tunnel = _load(source, looks)

    def reload(self, looks: Looks | None = None, *, force: bool = False) -> bool:
        """Take the files as they are now, if they changed, or if *force*; tell whether new connections use them.

        Raises:
            ConfigurationError: the new files cannot be used; the old state stays. Raised once per state of the files.
        """
        looks = look_at(self._source) if looks is None else looks
        seen = self._state(looks)
        if seen == self._seen and not force:
            return False
        self._seen = seen
        self.tunnel = _load(self._source, looks)
        return True

    def removed(self, codec: Codec) -> bool:
        """Tell whether what the peer of *codec* has proven itself by was taken out of the files since it began."""
        return not self.tunnel.trusts(codec)

    def _state(self, looks: Looks) -> tuple[object, ...]:
        """Tell the present state of the files from any other, by all that matters of them; keeps no copy of a key."""
        looked = (vars(looks[path]) for path in self._source.named().values())
        return tuple(
            tuple(sha256(value).digest() if isinstance(value, bytes) else value for value in found.values())
            for found in looked
        )


def paths_of(source: TunnelFiles) -> list[str]:
    """Return the paths of its files, each once."""
    return list(dict.fromkeys(map(str, source.named().values())))


def look_at(source: TunnelFiles) -> Looks:
    """Look at all files of a tunnel. Blocks, but not for ever."""
    return by_path(look_in_time((path, True) for path in paths_of(source)))


def by_path(looks: Iterable[Look]) -> Looks:
    """Return *looks* as `Credentials` takes them."""
    return {Path(found.path): found for found in looks}


def _load(source: TunnelFiles, looks: Looks) -> Tunnel:
    if source.key is not None:
        if not SHARED_KEYS:
            _refuse_file(
                _KEY, source.key, "this OpenSSL is built without shared keys", "use the image, or certificates"
            )
        return key_tunnel(_keys(source.key, looks), server_side=source.server_side)
    certificate, private_key, authority = source.certificate, source.private_key, source.authority
    assert certificate and private_key and authority  # noqa: S101, PT018 - `config.rules` has seen to it
    _check_texts(certificate, private_key, authority, looks=looks)
    with contextlib.ExitStack() as stack:
        try:
            lent = [stack.enter_context(lend(looks[path].content)) for path in (certificate, private_key, authority)]
        except OSError as error:
            wrong = f"cannot be handed to OpenSSL: {error.strerror}"
            _refuse_file(_CERTIFICATE, certificate, wrong, "run with /proc mounted, or use a shared key")
        try:
            return certificate_tunnel(
                lent[0], lent[1], authority=lent[2], peers=source.peers, server_side=source.server_side
            )
        except ssl.SSLError as error:
            _blame(certificate, private_key, authority, lent=lent, error=error)


def _keys(path: Path, looks: Looks) -> tuple[bytes, ...]:
    try:
        return parse(files.text(looks[path], secret=True))
    except files.UnusableFileError as error:
        raise ConfigurationError(tuple(_problem(_KEY, path, *fault) for fault in error.faults)) from None
    except KeyFileError as error:
        right = "write one key per line, as printed by `ambassador keygen`"
        raise ConfigurationError(tuple(_problem(_KEY, path, line, right) for line in error.lines)) from None


def _check_texts(certificate: Path, private_key: Path, authority: Path, *, looks: Looks) -> None:
    """Report all that can be found without OpenSSL, which does not say which file it refuses."""
    problems: list[Problem] = []
    for name, path, what in (
        (_CERTIFICATE, certificate, "certificate"),
        (_PRIVATE_KEY, private_key, "private key"),
        (_AUTHORITY, authority, "certificate"),
    ):
        try:
            text = files.text(looks[path], secret=path is private_key)
        except files.UnusableFileError as error:
            problems += (_problem(name, path, *fault) for fault in error.faults)
            continue
        if f"{what.upper()}-----" not in text:
            problems.append(_problem(name, path, f"no {what} in the file", f"expected a {what} in PEM form"))
        elif path is private_key and "ENCRYPTED" in text:
            problems.append(_problem(name, path, "the private key is encrypted", "remove its passphrase"))
    if problems:
        raise ConfigurationError(tuple(problems))


def _blame(
    certificate: Path, private_key: Path, authority: Path, *, lent: Sequence[str], error: ssl.SSLError
) -> NoReturn:
    """Find out which of the files OpenSSL refused; it read them at the paths *lent*."""
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, path, readable in ((_CERTIFICATE, certificate, lent[0]), (_AUTHORITY, authority, lent[2])):
        try:
            probe.load_verify_locations(cafile=readable)
        except OSError:
            _refuse_file(name, path, "invalid certificate in the file", "expected a certificate in PEM form")
    if error.reason == "KEY_VALUES_MISMATCH":
        _refuse_file(
            _PRIVATE_KEY,
            private_key,
            f"does not belong to the certificate {path_shown(str(certificate))}",
            "name a certificate and its own key",
        )
    if error.reason:
        _refuse_file(_CERTIFICATE, certificate, f"refused by OpenSSL: {reason_of(error)}", "use a stronger certificate")
    _refuse_file(_PRIVATE_KEY, private_key, "invalid private key in the file", "expected a private key in PEM form")


def _refuse_file(name: str, path: Path, wrong: str, right: str) -> NoReturn:
    raise ConfigurationError((_problem(name, path, wrong, right),)) from None


def _problem(name: str, path: Path, wrong: str, right: str) -> Problem:
    return Problem(name, path_shown(str(path)), wrong, right)
