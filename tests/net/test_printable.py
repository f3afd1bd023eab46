"""Text of others, made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambassador.net.printable import printable


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain text: é, 漢字", "plain text: é, 漢字"),
        ("\x1b[2J\x07\x9b", r"\x1b[2J\x07\x9b"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\u202e\u2066\u200e\u200b\ufeff", r"\u202e\u2066\u200e\u200b\ufeff"),
        ("\u2028\u2029\xa0", r"\u2028\u2029\xa0"),
        ("\udc80\ue000\U000e0041", r"\udc80\ue000\U000e0041"),
    ],
)
def test_what_does_something_is_escaped(text: str, written: str) -> None:
    """Letters stay; control characters, marks of direction, and what nobody sees do not."""
    assert printable(text, 100) == written


@given(st.text(st.characters(), max_size=60), st.integers(3, 40))
def test_it_is_one_short_line_whatever_the_text(text: str, longest: int) -> None:
    """No text makes the result longer than it may be, or other than printable."""
    written = printable(text, longest)
    assert len(written) <= longest
    assert written.isprintable()
