"""Inputs made from others: for atheris beside its own way, and without it, always the same ones, for pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_MOST_CHANGES = 4


def mutated(data: bytes, words: Sequence[bytes], random: Random, longest: int) -> bytes:
    """Return *data* with a few changes, of which most know the *words* that inputs are made of, and lines."""
    for _ in range(random.randint(1, _MOST_CHANGES)):
        data = random.choice(_CHANGES)(data, words, random)
    return data[:longest]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.randint(0, 16))


def _insert_word(data: bytes, words: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(words) + data[at:]


def _overwrite(data: bytes, words: Sequence[bytes], random: Random) -> bytes:
    """Put a word in the place of another one, or of anything."""
    found = [(at, word) for word in words if (at := data.find(word)) >= 0]
    if found and random.random() < 0.8:
        at, word = random.choice(found)
        return data[:at] + random.choice(words) + data[at + len(word) :]
    start, end = _span(data, random)
    return data[:start] + random.choice(words) + data[end:]


def _delete(data: bytes, _words: Sequence[bytes], random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, _words: Sequence[bytes], random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[start:end] * random.randint(2, 9) + data[end:]


def _set_byte(data: bytes, _words: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _copy_line(data: bytes, words: Sequence[bytes], random: Random) -> bytes:
    """Copy a line to another place, with a word changed."""
    lines = data.split(b"\n")
    line = _overwrite(random.choice(lines), words, random)
    lines.insert(random.randint(0, len(lines)), line)
    return b"\n".join(lines)


def _drop_line(data: bytes, _words: Sequence[bytes], random: Random) -> bytes:
    lines = data.split(b"\n")
    del lines[random.randrange(len(lines))]
    return b"\n".join(lines)


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _insert_word, _overwrite, _overwrite, _delete, _repeat, _set_byte, _copy_line, _drop_line,
)  # fmt: skip
