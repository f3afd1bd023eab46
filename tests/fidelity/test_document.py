"""docs/fidelity.md says what is so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matrix
import pytest
from oracle.catalogue import SCENARIOS
from oracle.subjects import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXT, _, _REST = matrix.DOCUMENT.read_text().partition("<!-- matrix: begin -->\n")
_MATRIX = _REST.partition("<!-- matrix: end -->")[0]
_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in _MATRIX.splitlines() if line.startswith("| ")
]


def _rows_of(head: Sequence[str]) -> list[list[str]]:
    """Return the rows of all tables whose columns are *head*."""
    return [row for row in _ROWS if len(row) == len(head) and row != head and row[0] != "---"]


_HEAD = next((row for row in _ROWS if row[0] == "scenario"), [])


def test_the_matrix_has_a_row_for_every_scenario() -> None:
    """The matrix in the repository was made with the scenarios of the repository."""
    named = {row[0].rstrip("¹²³⁴") for row in _rows_of(_HEAD)}

    assert named == {re.sub(", by (client|server)$", "", name) for name in SCENARIOS}


def test_ours_has_no_failing_row() -> None:
    """Every row has a mark for each of ours that says that nobody can tell."""
    ours = [number for number, name in enumerate(_HEAD) if "ambassador" in name]

    assert len(ours) == 3
    assert {row[number] for row in _rows_of(_HEAD) for number in ours} == {"✓"}


@pytest.mark.parametrize("number", range(1, 23))
def test_each_class_of_bugs_has_its_row(number: int) -> None:
    """None of the 22 classes is left out."""
    assert _TEXT.count(f"\n| {number} | ") == 1


@pytest.mark.parametrize("test", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", _TEXT))))
def test_every_test_that_is_named_exists(test: str) -> None:
    """Whoever looks for a test that the document names finds it."""
    file, _, function = test.partition("::")

    assert re.search(rf"def {function}\(", (ROOT / file).read_text())


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", _TEXT.partition("## The classes")[2])))
)
def test_every_scenario_that_is_named_exists(name: str) -> None:
    """Whoever looks for a scenario that the document names finds it."""
    assert name == "Slanted" or any(one.startswith(name) for one in SCENARIOS)
