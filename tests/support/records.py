"""A tunnel's peer that makes its own records, as OpenSSL never would: empty ones, one key update after another.

The handshake is OpenSSL's, whose key log says by what the records are protected (RFC 8446, sections 5.2 and 7).
"""

from __future__ import annotations

import hmac
import ssl
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.support.net import exactly

if TYPE_CHECKING:
    import socket
    from pathlib import Path

DATA = 23
_HANDSHAKE = 22
_TAG = 16


class Forge:
    """What writes one end's records, from the first one after the handshake on."""

    def __init__(self, secret: bytes, cipher: str) -> None:
        self._hash = "sha384" if cipher.endswith("SHA384") else "sha256"
        self._chacha = "CHACHA20" in cipher
        self._key_bytes = 16 if "AES_128" in cipher else 32
        self._begin(secret)

    def data(self, content: bytes = b"", padding: int = 0) -> bytes:
        """Return a record of *content*, by default of none."""
        return self._record(content, DATA, padding)

    def key_update(self, *, asks: bool = False) -> bytes:
        """Return a record that changes our keys, and asks the peer to change its own or not."""
        record = self._record(bytes([24, 0, 0, 1, asks]), _HANDSHAKE)
        self._begin(self._expand(self._secret, b"traffic upd", len(self._secret)))
        return record

    def key_updates(self, count: int) -> bytes:
        """Return many that ask for nothing."""
        return b"".join(self.key_update() for _ in range(count))

    def _begin(self, secret: bytes) -> None:
        key, self._iv = self._expand(secret, b"key", self._key_bytes), self._expand(secret, b"iv", 12)
        self._aead = ChaCha20Poly1305(key) if self._chacha else AESGCM(key)
        self._secret = secret
        self._number = 0

    def _expand(self, secret: bytes, label: bytes, size: int) -> bytes:
        """Return HKDF-Expand-Label; one block of the hash is always enough here."""
        label = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0\x01"
        return hmac.digest(secret, info, self._hash)[:size]

    def _record(self, content: bytes, kind: int, padding: int = 0) -> bytes:
        plain = content + bytes([kind]) + bytes(padding)
        header = b"\x17\x03\x03" + (len(plain) + _TAG).to_bytes(2, "big")
        nonce = int.from_bytes(self._iv, "big") ^ self._number
        self._number += 1
        return header + self._aead.encrypt(nonce.to_bytes(12, "big"), plain, header)


def forge_of(log: Path, cipher: str, *, server_side: bool = False) -> Forge:
    """Return what goes on where OpenSSL's handshake has left off, by its key log, of one connection."""
    label = "SERVER_TRAFFIC_SECRET_0" if server_side else "CLIENT_TRAFFIC_SECRET_0"
    (secret,) = [line.split()[2] for line in log.read_text().splitlines() if line.startswith(label)]
    return Forge(bytes.fromhex(secret), cipher)


def forging(sock: socket.socket, context: ssl.SSLContext, log: Path, *, server_side: bool = False) -> Forge:
    """Shake hands on a connected socket, each time with a *log* of its own; return what makes records for it."""
    context.keylog_filename = str(log)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=server_side)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            header = exactly(sock, 5)
            incoming.write(header + exactly(sock, int.from_bytes(header[3:], "big")))
        else:
            break
    sock.sendall(outgoing.read())
    cipher = tls.cipher()
    assert cipher is not None
    return forge_of(log, cipher[0], server_side=server_side)
