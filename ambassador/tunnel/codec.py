"""One end of a TLS 1.3 connection, without I/O: ciphertext in, plaintext out, and the other way round.

Why not asyncio's TLS: end of stream has to cross a tunnel one way while the other way lives on (RFC 8446, section
6.1), and its transports close both ways at the first close_notify.

All codecs of a process share one pair of memory BIOs, so a call must leave them empty. It can: without read-ahead
OpenSSL takes from its source whatever is there of the record at hand, and what it writes is taken out at the end of
the call. A MemoryBIO of its own would keep its peak size for as long as the connection lives, 87 KiB after 64 KiB
each way; as it is, an idle codec holds what OpenSSL holds (measured: 15 KiB with OpenSSL 3.0, 33 KiB with 3.5). For
the same reason a process uses codecs in one thread only.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ambassador.errors import AmbassadorError
from ambassador.tunnel.reasons import is_alert, reason_of
from ambassador.tunnel.records import Records
from ambassador.tunnel.trust import verified

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ambassador.tunnel.trust import Keyring

# Bytes, the most of one call: what a relay reads at once. More gained nothing (64 KiB fit the processor's cache).
CHUNK = 65536
# Bytes. A handshake takes 1 to 5 KiB per side, rarely ten with a chain of certificates; a stranger must not cost more.
HANDSHAKE_LIMIT = 65536
# Bytes. Answers to key updates wait for our next write (RFC 8446, section 4.6.3). A peer that asks for more than 600
# of them while we have nothing to write is after our memory.
_UNSENT_LIMIT = 16384
_RECORD = 16384

_incoming = ssl.MemoryBIO()
_outgoing = ssl.MemoryBIO()
# One call's plaintext: of a chunk, of what waited before it, and of the record begun before.
_PLAINTEXT = memoryview(bytearray(2 * CHUNK + _RECORD))


class HandshakeError(AmbassadorError):
    """The peer could not prove itself, or rejected our proof: one short reason, fit for a log."""


class Codec:
    """Encrypt and decrypt one connection: the handshake first, then at most `CHUNK` bytes per call.

    Attributes:
        established: both ends are proven to each other; nothing can be encrypted or decrypted before.
        waiting: ciphertext waits for `decrypt`: what came with the end of the handshake, or more records than one call
            decrypts.
        ended: the peer said in order that it will write nothing more (close_notify). A connection that ends while this
            is false was cut.
        broken: why nothing more can be decrypted, or empty. What was decrypted before is sound.
        refused: it broke because the peer does not accept us. In TLS 1.3 a client learns of that only after its own
            part of the handshake is done, by an alert in the place of the first payload.
    """

    __slots__ = (
        "_allowance", "_key", "_keyring", "_proof", "_records", "_tls", "_unheard", "_unsent", "_waiting", "broken",
        "ended", "established", "refused",
    )  # fmt: skip

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, host: str | None, proof: Callable[[ssl.SSLObject], str],
        keyring: Keyring | None = None,
    ) -> None:  # fmt: skip
        """Prepare a connection. *proof* says, after the handshake, what the peer failed to prove; empty if nothing.

        *keyring* is where OpenSSL asks for keys, if it does.
        """
        self._tls = context.wrap_bio(_incoming, _outgoing, server_side=server_side, server_hostname=host)
        self._proof = proof
        self._keyring = keyring
        self._key = ""
        self._allowance = HANDSHAKE_LIMIT
        self._unsent = b""
        self._waiting = b""
        self._records = Records()
        self._unheard = not server_side
        self.established = False
        self.ended = False
        self.broken = ""
        self.refused = False

    @property
    def context(self) -> ssl.SSLContext:
        """What the handshake began with."""
        return self._tls.context

    def trusted_by(self) -> Collection[str | bytes]:
        """Return by what the peer was trusted, any of which suffices: a key's name, or certificates in DER."""
        return (self._key,) if self._key else verified(self._tls)

    @property
    def waiting(self) -> bool:
        """Tell whether there is something to decrypt already, though nothing more may come."""
        return bool(self._waiting)

    def handshake(self, ciphertext: bytes | memoryview = b"") -> bool:
        """Continue the handshake; tell whether it is done. The client begins it, by a call without ciphertext.

        After each call `outgoing()` has to be sent: also after the last, and after a failure, when it may hold an
        alert that tells the peer why.

        Raises:
            HandshakeError: the peer is refused, or refuses us. Send `outgoing()`, then close the connection.
        """
        self._allowance -= len(ciphertext)
        if self._allowance < 0:
            raise HandshakeError(f"expected a handshake of at most {HANDSHAKE_LIMIT} bytes, received more")
        _check(ciphertext)
        _incoming.write(ciphertext)
        try:
            self._tls.do_handshake()
            self._waiting = _incoming.read()
            self._prove()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise HandshakeError(reason_of(error)) from None
        finally:
            if self._keyring is not None:
                self._key = self._keyring.take_asked() or self._key
            self._collect()
        self.established = True
        return True

    def decrypt(self, ciphertext: bytes | memoryview = b"") -> memoryview:
        """Return the plaintext that *ciphertext* completes; it stands until the next call of any codec's `decrypt`.

        Of more records than others can wait for the rest is `waiting` then; ask for it before there is more ciphertext.
        Look at `ended` and `broken` afterwards: they hold once the returned bytes are used. After the peer's end of
        stream whatever else comes is ignored (RFC 8446, section 6.1).
        """
        if not self.established or self.ended or self.broken:
            return _PLAINTEXT[:0]
        _check(ciphertext)
        if self._waiting:
            _check(self._waiting)
            ciphertext = self._waiting + ciphertext
            self._waiting = b""
        records = self._records
        size = records.take(ciphertext)
        if size < len(ciphertext):
            self._waiting = bytes(ciphertext[size:])
            ciphertext = ciphertext[:size]
        count = 0
        try:
            _incoming.write(ciphertext)
            count = self._read()
        finally:
            self._collect()
        if len(self._unsent) > _UNSENT_LIMIT:
            self.broken = self.broken or "too many key updates from the peer"
        elif (count < records.begun or records.owing) and not records.paid(count):
            self.broken = self.broken or "too many records without payload from the peer"
        if self.broken or self.ended:
            self._waiting = b""
        return _PLAINTEXT[:count]

    def encrypt(self, plaintext: bytes | memoryview) -> bytes:
        """Return the ciphertext to send for *plaintext*, in order with all that came before it.

        Raises:
            ssl.SSLError: the connection is broken, or `end` was called.
        """
        if not self.established:
            raise ssl.SSLError("cannot encrypt before the handshake is done")
        try:
            if plaintext:
                self._tls.write(plaintext)  # takes all: a memory BIO has room for anything (SSL_write(3))
        finally:
            self._collect()
        return self.outgoing()

    def end(self) -> bytes:
        """Return the ciphertext that ends our way in order; the peer's way lives on. To be called once.

        unwrap() would be lost on plaintext that is still to be read (APPLICATION_DATA_AFTER_CLOSE_NOTIFY, and reading
        is dead from there on). There is none: `decrypt` leaves nothing complete behind, and what came with the
        handshake has not been handed to OpenSSL yet.
        """
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # the peer has not ended its way yet
        finally:
            self._collect()
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Take what has to be sent of the handshake, an alert, or an answer; `encrypt` and `end` include it."""
        unsent, self._unsent = self._unsent, b""
        return unsent

    def _prove(self) -> None:
        """Make sure of the peer before a byte of payload goes out, or is let in."""
        missing = self._proof(self._tls)
        if missing:
            _outgoing.read()  # the end of a handshake that must not succeed
            raise HandshakeError(missing)

    def _read(self) -> int:
        """Read until nothing complete is left; return how much was read."""
        read = self._tls.read
        count = 0
        try:
            while True:
                got: int = read(CHUNK, _PLAINTEXT[count:])  # type: ignore[assignment]  # typeshed forgets the buffer
                if not got:
                    self.ended = True
                    break
                count += got
                # Saves the exception that would say so: a record is read whole, because there is room for it.
                if not _incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.broken = reason_of(error)
            self.refused = self._unheard and not count and is_alert(error)
        self._unheard = self._unheard and not count
        return count

    def _collect(self) -> None:
        """Leave the shared BIOs empty, whatever happened."""
        if _outgoing.pending:
            self._unsent += _outgoing.read()
        if _incoming.pending:
            _incoming.read()


def _check(ciphertext: bytes | memoryview) -> None:
    """Refuse more at once than there is room for the plaintext of."""
    if len(ciphertext) > CHUNK:
        raise ValueError(f"expected at most {CHUNK} bytes at once, received {len(ciphertext)}")
