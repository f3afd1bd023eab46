"""What the two ends of a tunnel have to prove, as TLS contexts.

Only TLS 1.3 is accepted, so there is no renegotiation and no compression. A server issues no tickets, so nothing is
resumed; early data is off by default. Neither SSLKEYLOGFILE nor the system's trusted authorities are used.
"""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ambassador.tunnel.codec import Codec
from ambassador.tunnel.trust import Keyring, authorities

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

# Characters: how much of a peer's names goes into a reason.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One state of the keys or certificates. A reload makes another, so that a key that was removed is refused.

    Attributes:
        context: shared by all connections of this state.
        server_side: of a source ambassador, which is dialled.
        proof: says, after a handshake, what the peer failed to prove; empty if nothing.
        sends_name: whether a client sends the name that it dials (RFC 6066, section 3).
        trusted: the names of keys, or certificates, that peers are trusted by.
        keyring: the keys, where they are what proves.
    """

    context: ssl.SSLContext
    server_side: bool
    proof: Callable[[ssl.SSLObject], str]
    sends_name: bool
    trusted: Collection[str | bytes]
    keyring: Keyring | None = None

    def codec(self, host: str | None = None) -> Codec:
        """Make the codec of a new connection. A target names the *host* that it dials: a name or an IP address."""
        name = host.partition("%")[0].rstrip(".") if host and self.sends_name else None
        return Codec(self.context, server_side=self.server_side, host=name, proof=self.proof, keyring=self.keyring)

    def trusts(self, codec: Codec) -> bool:
        """Tell whether the peer of *codec*, whose handshake is done, perhaps under another state, is trusted here."""
        return codec.context is self.context or any(one in self.trusted for one in codec.trusted_by())


def key_tunnel(keys: Sequence[bytes], *, server_side: bool) -> Tunnel:
    """Prove both ends by a shared key (RFC 8446, section 2.2), always with ephemeral Diffie-Hellman.

    A client offers the first key; a server accepts any, and has no certificate to fall back on. Python's callbacks tie
    the keys to SHA-256, so the cipher is TLS_CHACHA20_POLY1305_SHA256, unless OpenSSL's configuration ranks
    TLS_AES_128_GCM_SHA256 higher.
    """
    context = _context(server_side=server_side)
    if sys.version_info < (3, 13):
        raise NotImplementedError("shared keys need Python 3.13")
    keyring = Keyring(keys)
    if server_side:
        context.set_psk_server_callback(keyring.find)
    else:
        context.set_psk_client_callback(keyring.offer)
    return Tunnel(context, server_side, _key_proof, sends_name=False, trusted=keyring.names, keyring=keyring)


def certificate_tunnel(
    certificate: str, private_key: str, *, authority: str, peers: Collection[str], server_side: bool
) -> Tunnel:
    """Prove both ends by certificates of *authority*; the peer's must hold one of the names *peers*.

    Without *peers* a client expects the name or address that it dials, and a server any certificate of the authority.

    The files are read at these paths, as `files.lend` makes them.

    Raises:
        ssl.SSLError: the content of a file cannot be used.
    """
    context = _context(server_side=server_side)
    context.check_hostname = not server_side and not peers
    context.hostname_checks_common_name = False
    # The file decides what is trusted, be it a root or an authority below one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Without a password OpenSSL would ask for that of an encrypted key at the terminal.
    context.load_cert_chain(certificate, private_key, password="")
    context.load_verify_locations(cafile=authority)
    proof = _NameProof(peers) if peers else _no_more_proof
    trusted = authorities(context, authority)
    return Tunnel(context, server_side, proof, sends_name=not server_side, trusted=trusted)


def _context(*, server_side: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    # Also with a shared key: no certificate can be verified then, so none is accepted in place of the key.
    context.verify_mode = ssl.CERT_REQUIRED
    if server_side:
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def _key_proof(tls: ssl.SSLObject) -> str:
    """Check that the key was used: OpenSSL would also complete a handshake with a certificate."""
    if tls.session_reused and tls.getpeercert(binary_form=True) is None:
        return ""
    return "the peer did not prove that it holds the key"


def _no_more_proof(_tls: ssl.SSLObject) -> str:
    """Ask for nothing beyond the certificate that OpenSSL has verified."""
    return ""


class _NameProof:
    """Require one of some DNS or URI names in a verified certificate (RFC 5280, section 4.2.1.6)."""

    def __init__(self, names: Collection[str]) -> None:
        self._expected = ", ".join(sorted(names))[:_SHOWN]
        # A colon is in every URI and in no DNS name; case is ignored in DNS only.
        self._uris = frozenset(name for name in names if ":" in name)
        self._hosts = frozenset(name.lower() for name in names if ":" not in name)

    def __call__(self, tls: ssl.SSLObject) -> str:
        found: Any = (tls.getpeercert() or {}).get("subjectAltName", ())
        for kind, name in found:
            if (kind == "DNS" and name.lower() in self._hosts) or (kind == "URI" and name in self._uris):
                return ""
        shown = ascii(", ".join(f"{kind}:{name}" for kind, name in found))[:_SHOWN] if found else "no name"
        return f"the peer's certificate is for {shown}, expected {self._expected}"
