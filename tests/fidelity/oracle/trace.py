"""What one end of a connection saw, in order."""

from __future__ import annotations

import functools
import hashlib
import random
from dataclasses import dataclass

# The length is prime, so no buffer size divides it: a block lost, repeated or swapped always changes the hash.
_BLOCK_BYTES = 1_000_003
_SEEDS = {"client": 4001, "server": 6379}
# What an end sees of a connection that can only be waited for ends like this.
SILENCE = "silence"
END = "end of stream"
READ = "read"  # exactly as many bytes as the script asked for
RECEIVED = "received"  # all bytes up to an ending
MARK = "mark"  # all bytes up to an urgent one, and that one
UNMARKED = "no mark"


@dataclass(frozen=True, slots=True)
class Event:
    """One observation. For bytes, *count* and *digest* cover the whole stream up to here."""

    kind: str
    count: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.count} bytes ({self.digest[:8]})" if self.digest else self.kind


@dataclass(frozen=True, slots=True)
class Trace:
    """All that one end saw, and what it sent.

    Attributes:
        events: in order.
        sent: bytes that its kernel took.
        acknowledged: how many of them the other side's kernel had acknowledged when this end was closed.
    """

    events: tuple[Event, ...]
    sent: int
    acknowledged: int

    def __str__(self) -> str:
        return "; ".join(map(str, self.events)) or "nothing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both traces of one run."""

    client: Trace
    server: Trace

    def __str__(self) -> str:
        return f"client: {self.client}\nserver: {self.server}"


@functools.cache
def block(sender: str) -> memoryview:
    """Return the bytes that *sender* repeats: pseudo-random, other ones for each end."""
    return memoryview(random.Random(_SEEDS[sender]).randbytes(_BLOCK_BYTES))  # noqa: S311 - a pattern, not a secret


@functools.lru_cache(maxsize=4096)
def digest_of(sender: str, count: int) -> str:
    """Hash the first *count* bytes that *sender* sends."""
    hashed = hashlib.sha256()
    pattern = block(sender)
    for _ in range(count // _BLOCK_BYTES):
        hashed.update(pattern)
    hashed.update(pattern[: count % _BLOCK_BYTES])
    return hashed.hexdigest()
