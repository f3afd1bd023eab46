"""Ends of a tunnel without a connection: those with certificates, and strangers that ask for no proof."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ambassador.tunnel import Codec
from ambassador.tunnel.credentials import Credentials

if TYPE_CHECKING:
    from ambassador.tunnel import Tunnel


def plain_context(*, server_side: bool) -> ssl.SSLContext:
    """Make a context as a stranger has it, who verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stranger_codec(context: ssl.SSLContext, *, server_side: bool) -> Codec:
    """Make a codec that asks its peer for no proof."""
    return Codec(context, server_side=server_side, host=None, proof=lambda _: "")


def source_of(ca: Any, **more: Any) -> Tunnel:
    """Make the source's end with a certificate of an authority."""
    return Credentials(ca.files("source.example", server_side=True, **more)).tunnel


def target_of(ca: Any, **more: Any) -> Tunnel:
    """Make the target's end with a certificate of an authority."""
    return Credentials(ca.files("target.example", server_side=False, **more)).tunnel
