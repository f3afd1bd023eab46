"""Values as one line for people."""

from __future__ import annotations

import pytest

from ambassador.config.problems import LONGEST, Invalid, quoted, shown


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("tcp://a:1\nAMBASSADOR_X=1", "tcp://a:1\\nAMBASSADOR_X=1"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("caf\udce9", "caf\\udce9"),
        ("\u202etxt", "\\u202etxt"),
        ("tcp://größe:1", "tcp://größe:1"),
    ],
)
def test_control_characters_are_escaped(value: str, line: str) -> None:
    """A value cannot break out of its line, move the cursor, or keep the line from being printed."""
    assert shown(value) == line


def test_long_value_is_cut_off() -> None:
    """A megabyte of value is shown by its beginning."""
    line = shown("x" * 1_000_000)

    assert len(line) == LONGEST
    assert line.endswith("x...")


def test_value_of_just_the_length_is_whole() -> None:
    """A value that fits is not cut off."""
    assert shown("x" * LONGEST) == "x" * LONGEST


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("tcp://user:hunter2@redis:6379", "tcp://***@redis:6379"),
        ("tcp://user:hunter2@a:1,tcp://user:hunter2@b:1", "tcp://***@b:1"),
        ("tcp://user:hunt er2@redis:6379", "tcp://***@redis:6379"),
        ("tcp://user:hunter2@", "tcp://***@"),
        ("80=user:hunter2@tcp://@a:1", "***@a:1"),
        ("6379=user:hunter2@redis:6379", "***@redis:6379"),
        ("a:1 user:hunter2@b:2 c:3", "a:1 ***@b:2 c:3"),
        ("tcp://redis:6379?password=hunter2", "tcp://redis:6379?***"),
        ("tcp://redis:6379?password=hunter2&db=0,tcp://b:1", "tcp://redis:6379?***"),
        ("tcp://user:hunter2?hunter2@redis:6379?a=hunter2", "tcp://***@redis:6379?***"),
        ("user:hunter2" + "x" * 1000 + "@redis", "***@redis"),
    ],
)
def test_passwords_are_masked(value: str, line: str) -> None:
    """What stands before an @ or in a query is never shown, even where it is longer than what is shown."""
    assert shown(value) == line
    assert "hunter2" not in quoted(value)


def test_problem_reads_as_one_sentence() -> None:
    """A problem says the variable, its value, what is wrong and what would be right."""
    problem = Invalid("missing port", "write tcp://redis:6379").of("REDIS_PORT_6379_TCP", "tcp://redis")

    assert str(problem) == "REDIS_PORT_6379_TCP=tcp://redis: missing port; write tcp://redis:6379"
