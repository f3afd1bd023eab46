"""Which records a peer sends: how many there are in a piece of ciphertext, and whether they carry anything.

A record that carries nothing costs OpenSSL as much as one that does, and a change of keys far more (measured: 13 µs, as
much as a small message that is passed on), but nothing of it shows in the plaintext. So records are counted by
their headers, which are not encrypted (RFC 8446, section 5.2).

Why nobody honest is ever ended: whoever sends payload sends at least one byte a record, and a byte pays for a record,
however many there are and however fast. What is left to pay for are changes of keys; OpenSSL makes one in millions of
records. All that time pays for, and a peer can have for nothing, is a ten-thousandth of a processor.
"""

from __future__ import annotations

from time import monotonic

# Records, the most that are decrypted in one call: key updates take 1 ms, about as long as the turn of a bulk stream.
MOST = 64
# Records without payload that a peer may send ahead: 3 ms of work. OpenSSL itself ends a peer after 32 empty ones.
_BURST = 256
# Records a second.
_REGAINED = 10.0
_HEADER = 5


class Records:
    """The records that one peer sends, from the end of the handshake on, and a budget for those that carry nothing.

    Attributes:
        begun: how many records began in what was taken last.
        owing: the budget is not full, so that payload has something to pay for.
    """

    __slots__ = ("_budget", "_head", "_next", "_since", "begun", "owing")

    def __init__(self) -> None:
        self._next = 0  # where the next record begins, counted from the end of what was taken
        self._head = b""  # of a header that has not come whole
        self.begun = 0
        self.owing = False
        self._budget = float(_BURST)
        self._since = monotonic()

    def take(self, ciphertext: bytes | memoryview) -> int:
        """Return how much of *ciphertext*, the next of the stream, to decrypt in one call."""
        size = len(ciphertext)
        at, begun = self._next, 0
        if self._head:
            at, begun = self._complete(ciphertext)
        whole = size - _HEADER  # where the last header that is whole may begin
        while at <= whole:
            if begun == MOST:
                size = at
                break
            at += _HEADER + (ciphertext[at + 3] << 8 | ciphertext[at + 4])
            begun += 1
        self.begun = begun
        if at < size:
            self._head += bytes(ciphertext[at:])
            at = size
        self._next = at - size
        return size

    def paid(self, count: int) -> bool:
        """Tell whether *count* bytes of payload, in what was taken last, and the budget pay for its records."""
        self._budget = min(self._budget + count - self.begun, _BURST)
        self.owing = self._budget < _BURST
        return self._budget >= 0 or self._regain()

    def _complete(self, ciphertext: bytes | memoryview) -> tuple[int, int]:
        """Go on with a header that began before; return where the next record begins, and how many began here."""
        missing = _HEADER - len(self._head)
        if len(ciphertext) < missing:
            return 0, 0
        header, self._head = self._head + bytes(ciphertext[:missing]), b""
        return missing + (header[3] << 8 | header[4]), 1

    def _regain(self) -> bool:
        """Add to the budget what time has brought; tell whether that suffices."""
        now = monotonic()
        self._budget = min(self._budget + _REGAINED * (now - self._since), _BURST)
        self._since = now
        return self._budget >= 0
