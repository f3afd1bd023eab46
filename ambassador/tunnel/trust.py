"""By what a peer is trusted: a handshake that began before a reload may end after it, by what was removed meanwhile."""

from __future__ import annotations

import re
import ssl
import sys
from typing import TYPE_CHECKING

from ambassador.tunnel.keys import identity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Keyring:
    """Shared keys by their names on the wire; OpenSSL asks for one within a step of a handshake."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {identity(key): key for key in keys}
        self._first = identity(keys[0])
        self._asked = ""

    @property
    def names(self) -> frozenset[str]:
        """The names of all keys."""
        return frozenset(self._keys)

    def offer(self, _hint: str | None) -> tuple[str, bytes]:
        """Return what a client offers."""
        self._asked = self._first
        return self._first, self._keys[self._first]

    def find(self, name: str | None) -> bytes:
        """Return the key of a client that a server knows, or nothing."""
        key = self._keys.get(name or "", b"")
        if key and name:
            self._asked = name  # of several that are offered OpenSSL takes the first it is given a fitting key for
        return key

    def take_asked(self) -> str:
        """Return the name that was asked for last, or nothing, once."""
        asked, self._asked = self._asked, ""
        return asked


def authorities(context: ssl.SSLContext, path: str) -> frozenset[bytes]:
    """Return what *context* trusts by the file at *path*, in DER: authorities, and certificates that are none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        pems = _PEM.findall(file.read())
    return frozenset([*context.get_ca_certs(binary_form=True), *map(ssl.PEM_cert_to_DER_cert, pems)])


def verified(tls: ssl.SSLObject) -> Collection[bytes]:
    """Return the peer's certificate and those that vouch for it, as OpenSSL has verified them, in DER."""
    if sys.version_info < (3, 13):
        # There since Python 3.10, but not public; 2 is DER (ENCODING_DER).
        chain = tls._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
        return [certificate.public_bytes(2) for certificate in chain]
    return tls.get_verified_chain()
