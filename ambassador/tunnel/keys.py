"""The shared key of a tunnel, as `ambassador keygen` prints it, a file of such keys, and a key's name on the wire."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from ambassador.errors import AmbassadorError

PREFIX = "ambassador-key-1:"
_KEY_BYTES = 32
# A typing error passes this check once in four billion times (32 bits); with it a key is 48 characters, unpadded.
_CHECK_BYTES = 4
_CHARACTERS = (_KEY_BYTES + _CHECK_BYTES) * 4 // 3
# Of 32 random bytes 30 are different on average; fewer than this are rarer than one key in 10**15.
_FEWEST_DIFFERENT = 16
_PRINTABLE = range(0x20, 0x7F)
_BASE64URL = re.compile("[A-Za-z0-9_-]+")


class KeyFileError(AmbassadorError):
    """A file does not hold keys: what is wrong in each line, by its number, and never any of the line itself."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def generate() -> str:
    """Make a new key, as one line of a key file, without its end."""
    return _written(secrets.token_bytes(_KEY_BYTES))


def identity(key: bytes) -> str:
    """Name *key* on the wire (RFC 8446, section 4.2.11). Anyone can read it, and learns nothing of 32 random bytes."""
    return "ambassador-1:" + hashlib.sha256(b"ambassador tunnel key, version 1, identity\0" + key).hexdigest()


def parse(text: str) -> tuple[bytes, ...]:
    """Read the keys of a file, one per line, in order; blank lines and those that begin with # are skipped.

    Raises:
        KeyFileError: a line is not a key, or there is no key.
    """
    keys, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            keys.append(_read(word))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if not keys and not wrong:
        wrong.append("no key in the file")
    if wrong:
        raise KeyFileError(tuple(wrong))
    return tuple(keys)


def _written(key: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(key + _check(key)).decode()


def _check(key: bytes) -> bytes:
    return hashlib.sha256(b"ambassador tunnel key, version 1, check\0" + key).digest()[:_CHECK_BYTES]


def _read(word: str) -> bytes:
    """Read one key; a ValueError says what is wrong, without repeating any of it."""
    if not word.startswith(PREFIX):
        raise ValueError(f"expected a key, which begins with {PREFIX}")
    written = word.removeprefix(PREFIX)
    if len(written) != _CHARACTERS:
        raise ValueError(f"expected {_CHARACTERS} characters after {PREFIX}, found {len(written)}")
    if not _BASE64URL.fullmatch(written):
        raise ValueError("invalid character, expected letters, digits, - and _")
    raw = base64.urlsafe_b64decode(written)
    key, check = raw[:_KEY_BYTES], raw[_KEY_BYTES:]
    if not secrets.compare_digest(check, _check(key)):
        raise ValueError("typing error, the last characters do not match the rest")
    if len(set(key)) < _FEWEST_DIFFERENT or all(byte in _PRINTABLE for byte in key):
        raise ValueError("weak key, expected 32 random bytes")
    return key
