"""The shared key of a tunnel, as `ambassador keygen` prints it, a file of such keys, and a key's name on the wire."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from ambassador.errors import AmbassadorError

PREFIX = "ambassador-key-1:"
_KEY_BYTES = 32
# Of a hundred typing errors or cut-off lines one in four billion goes unseen; the whole is 48 characters, unpadded.
_CHECK_BYTES = 4
_CHARACTERS = (_KEY_BYTES + _CHECK_BYTES) * 4 // 3
# Of 32 random bytes 30 are different on average; fewer than this is rarer than one in 10**15.
_FEWEST_DIFFERENT = 16
_PRINTABLE = range(0x20, 0x7F)
_BASE64URL = re.compile("[A-Za-z0-9_-]+")


class KeyFileError(AmbassadorError):
    """A file is not one of keys: what is wrong in each line, by its number, and never the line itself."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def generate() -> str:
    """Make a new key, as one line of a key file."""
    return _written(secrets.token_bytes(_KEY_BYTES))


def identity(key: bytes) -> str:
    """Name *key* on the wire. Everyone can read that, but nobody finds 32 random bytes by their hash."""
    return "ambassador-1:" + hashlib.sha256(b"ambassador tunnel key, version 1, identity\0" + key).hexdigest()


def parse(text: str) -> tuple[bytes, ...]:
    """Read the keys of a file, one a line, in order; blank lines and those that begin with # are passed over.

    Raises:
        KeyFileError: a line is no key, or there is none.
    """
    keys, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            keys.append(_read(word))
        except ValueError as error:
            wrong.append(f"line {number} {error}")
    if not keys and not wrong:
        wrong.append("it holds no key")
    if wrong:
        raise KeyFileError(tuple(wrong))
    return tuple(keys)


def _written(key: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(key + _check(key)).decode()


def _check(key: bytes) -> bytes:
    return hashlib.sha256(b"ambassador tunnel key, version 1, check\0" + key).digest()[:_CHECK_BYTES]


def _read(word: str) -> bytes:
    """Read one key; a ValueError says what is wrong without repeating any of it."""
    if not word.startswith(PREFIX):
        raise ValueError(f"is no key: one begins with {PREFIX}")
    written = word.removeprefix(PREFIX)
    if len(written) != _CHARACTERS:
        raise ValueError(f"has {len(written)} characters after {PREFIX}, not {_CHARACTERS}")
    if not _BASE64URL.fullmatch(written):
        raise ValueError("has a character that no key has")
    raw = base64.urlsafe_b64decode(written)
    key, check = raw[:_KEY_BYTES], raw[_KEY_BYTES:]
    if not secrets.compare_digest(check, _check(key)):
        raise ValueError("has a typing error: its last characters do not fit the rest")
    if len(set(key)) < _FEWEST_DIFFERENT or all(byte in _PRINTABLE for byte in key):
        raise ValueError("is weak: a key is 32 random bytes")
    return key
