"""The encrypted, mutually authenticated hop between two ambassadors: TLS 1.3 as a codec without I/O, and its keys.

Reads the files that it is given; opens no socket and needs no event loop.
"""

from __future__ import annotations

from ambassador.tunnel.codec import CHUNK, Codec, HandshakeError
from ambassador.tunnel.contexts import Tunnel
from ambassador.tunnel.credentials import Credentials, TunnelFiles
from ambassador.tunnel.keys import generate

__all__ = ["CHUNK", "Codec", "Credentials", "HandshakeError", "Tunnel", "TunnelFiles", "generate"]
