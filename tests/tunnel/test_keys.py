"""The key file: what keygen prints is read, and whatever else is told by line, without a word of it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambassador.tunnel import keys
from ambassador.tunnel.keys import PREFIX, KeyFileError, generate, identity, parse


def test_generated_keys_are_read_in_order() -> None:
    """Two keys in one file come out as two keys of 32 bytes, the first first, whatever stands between them."""
    first, second = generate(), generate()

    read = parse(f"# the new one\n\n  {first}\t\r\n# the old one, until Friday\r\n{second}")

    assert read == parse(first) + parse(second)
    assert [len(key) for key in read] == [32, 32]
    assert read[0] != read[1]


@settings(deadline=None)
@given(st.integers(0, 47), st.characters(codec="ascii", categories=["L", "N", "P"]))
def test_a_typing_error_is_told(at: int, typed: str) -> None:
    """A key in which one character is another is refused, by its line and without the key."""
    line = generate()
    changed = list(line)
    changed[len(PREFIX) + at] = typed
    wrong = "".join(changed)
    if wrong == line:
        return

    with pytest.raises(KeyFileError) as told:
        parse(f"{line}\n{wrong}\n")

    assert told.value.lines == (str(told.value),)
    assert str(told.value).startswith("line 2: ")
    assert line[len(PREFIX) : len(PREFIX) + 8] not in str(told.value)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_nothing_but_a_key_is_a_key(text: str) -> None:
    """No text that is not of keygen is read as keys, and no word of it shows up in the error."""
    with pytest.raises(KeyFileError) as told:
        parse(text)
    assert all(word not in str(told.value) for word in text.split() if len(word) > 6)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no key in the file"),
        ("# only a comment\n\n", "no key in the file"),
        ("correct horse battery staple", "line 1: expected a key, which begins with ambassador-key-1:"),
        ("ambassador-key-2:" + "A" * 48, "line 1: expected a key"),
        (PREFIX + "A" * 47, "line 1: expected 48 characters after ambassador-key-1:, found 47"),
        (PREFIX + "A" * 48, "line 1: typing error"),
        (PREFIX + "A" * 47 + "+", "line 1: invalid character"),
        (PREFIX + "A" * 47 + "=", "line 1: invalid character"),
        ("x\n\ny", "line 1: expected a key, which begins with ambassador-key-1:; line 3: expected a key"),
    ],
)
def test_errors_are_precise(text: str, told: str) -> None:
    """What is wrong is said line by line, all of it."""
    with pytest.raises(KeyFileError) as error:
        parse(text)
    assert told in str(error.value)


@pytest.mark.parametrize("weak", [bytes(32), b"0123456789abcdef0123456789ABCDEF", b"ab" * 16, bytes(range(8)) * 4])
def test_a_weak_key_in_the_right_form_is_refused(weak: bytes) -> None:
    """Words, zeros and patterns are no keys, even with a check that fits: they can be guessed from a recording."""
    with pytest.raises(KeyFileError, match="line 1: weak key"):
        parse(keys._written(weak))


def test_the_form_stays_as_it_is() -> None:
    """A key written today is read by every later version: prefix, base64url of key and check."""
    key = bytes(range(100, 132))
    check = hashlib.sha256(b"ambassador tunnel key, version 1, check\0" + key).digest()[:4]

    assert parse("ambassador-key-1:" + base64.urlsafe_b64encode(key + check).decode()) == (key,)
    assert identity(key) == "ambassador-1:68f1f05dfbfe3739d5bff004bad13e9954085d3dc5706bc1c4b6a7a9589a3067"


def test_an_identity_tells_keys_apart_and_nothing_of_them() -> None:
    """Each key has a name of its own on the wire, in which the key does not stand."""
    first, second = (parse(generate())[0] for _ in range(2))

    assert identity(first) != identity(second)
    assert first.hex() not in identity(first)
    assert len(identity(first)) <= 128  # OpenSSL's PSK_MAX_IDENTITY_LEN
