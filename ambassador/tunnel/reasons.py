"""What OpenSSL's errors mean, in words for the log."""

from __future__ import annotations

import ssl

_NO_TLS = "the peer does not speak TLS"
_NO_TLS13 = "the peer does not speak TLS 1.3"
_NOTHING_SHARED = "the peer offers no known key"
_REASONS = {
    "HTTP_REQUEST": _NO_TLS,
    "HTTPS_PROXY_REQUEST": _NO_TLS,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "RECORD_LENGTH_MISMATCH": _NO_TLS,
    "BAD_RECORD_TYPE": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_TLS13,
    "WRONG_SSL_VERSION": _NO_TLS13,
    # A server without a certificate is left with this when none of the offered keys was found.
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _NOTHING_SHARED,
    "BINDER_DOES_NOT_VERIFY": "the peer does not hold the key it names",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has no certificate",
}


def reason_of(error: ssl.SSLError) -> str:
    """Say in a few words what *error* means; OpenSSL's reasons never hold key material."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate was refused: {error.verify_message.rstrip('.')}"
    reason = error.reason or "unknown TLS error"
    if is_alert(error):
        return f"the peer refused: {_words(reason.partition('_ALERT_')[2])}"
    return _REASONS.get(reason) or _words(reason)


def is_alert(error: ssl.SSLError) -> bool:
    """Tell whether it is the peer that found something wrong, and said so."""
    return "_ALERT_" in (error.reason or "")


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
