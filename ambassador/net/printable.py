"""What others say, as text that does nothing to whoever reads it."""

from __future__ import annotations


def printable(text: str, longest: int) -> str:
    """Write *text* in one line of at most *longest* characters, whatever whoever sent it put into it.

    Control characters, escape codes, marks that turn the direction of writing, and the lone surrogates that stand for
    bytes that are not UTF-8 are escaped (Unicode's categories C and Z, but for the space: `str.isprintable`).
    """
    written = "".join(map(_escaped, text[: longest + 1]))
    return written if len(written) <= longest else f"{written[: longest - 3]}..."


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
