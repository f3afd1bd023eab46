"""Bytes both ways between two connected sockets.

Takes sockets and numbers, keeps plain counters that others may read, and reports one ending. Knows nothing of
settings or logs, and of metrics only the names of the endings.
"""

from __future__ import annotations

from ambassador.relay.leg import Leg
from ambassador.relay.pipes import Pipes, share_of_user
from ambassador.relay.relay import Relay

__all__ = ["Leg", "Pipes", "Relay", "share_of_user"]
