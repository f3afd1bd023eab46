"""A network of the bench's own, so that nothing of the machine's takes part.

Where a firewall tracks connections, as Docker's does, each is an entry for two minutes. Connecting for one request
fills that table within seconds, and from there on the kernel drops what it has no entry for (nf_conntrack_max), be it
the relay's or the load's.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

OWN, SHARED = "in a namespace of its own", "shared with the machine"
# netdevice(7): struct ifreq, with the flags of an interface.
_IFREQ = struct.Struct("16sh22x")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def leave_the_machines() -> str:
    """Move this process, and what it starts from now on, to a network namespace where there is nothing but loopback.

    Return which network it is in now: root alone may do this, and Python can since 3.12.
    """
    if sys.version_info < (3, 12):
        return SHARED
    try:
        os.unshare(os.CLONE_NEWNET)
    except OSError:
        return SHARED
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", _IFF_UP))
    return OWN
