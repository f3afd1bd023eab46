"""The JSON of `/status` and `/connections`: its types, a real answer and docs/operations.md say the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from ambassador.admin.answers import ConnectionsReport, StatusReport
from ambassador.server.process import State
from tests.support.deadline import eventually
from tests.support.net import exactly
from tests.support.process import ROOT
from tests.support.servers import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Serve
    from tests.support.watch import Watch

BOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
# A number may happen to be whole.
_WIDER = {"integer": "number"}
_ANSWERS = {"/status": StatusReport, "/connections": ConnectionsReport}


def declared(kind: Any, path: str = "") -> dict[str, str]:
    """Return the path of each field of a type, and what may stand there."""
    if is_typeddict(kind):
        fields = ((f"{path}.{name}".lstrip("."), field) for name, field in get_type_hints(kind).items())
    elif get_origin(kind) is list:
        fields = ((f"{path}[]", inner) for inner in get_args(kind))
    elif get_origin(kind) is dict:
        fields = ((f"{path}.{{end}}", inner) for inner in get_args(kind)[1:])
    else:
        return {path: " or ".join(_NAMES[one] for one in get_args(kind) or (kind,))}
    return {deeper: name for where, field in fields for deeper, name in declared(field, where).items()}


def found(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each value in an answer, and what stands there."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from found(inner, f"{path}.{'{end}' if path.endswith('ends') else name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, f"{path}[]")
    else:
        yield path, _NAMES[type(value)]


def described(heading: str) -> dict[str, str]:
    """Return the path of each field in a table of the book, and what may stand there."""
    section = BOOK[BOOK.index(f"\n### `{heading}`\n") :].partition("\n## ")[0]
    section = section.removeprefix("\n").partition("\n### ")[0]
    rows = re.findall(r"^\| (`.+?`) \| ([\w ]+?)(?:, [\w ]+)? \| .+ \|$", section, re.MULTILINE)
    return {path: kind for paths, kind in rows for path in re.findall(r"`(.+?)`", paths)}


@pytest.mark.parametrize("path", _ANSWERS)
def test_the_book_describes_each_field_and_no_other(path: str) -> None:
    """Each field of an answer is in the book with its type, and nothing else is: names and types are a promise."""
    assert described(path) == declared(_ANSWERS[path])


def test_an_answer_has_each_field_and_no_other(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """What an ambassador answers that has seen all there is to tell of has each field of the type, and no other."""
    admin = watch(f"tcp://localhost:{serve(echo).port}", settings=workers)
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
    admin.ended("closed")
    with admin.ambassador.connect() as client:
        client.sendall(b"x")
        exactly(client, 1)
        eventually(lambda: admin.json("/status")["rates"]["live"])  # two looks make an interval
        answers = {path: set(found(admin.json(path))) for path in _ANSWERS}

    for path, seen in answers.items():
        allowed = {field: set(names.split(" or ")) for field, names in declared(_ANSWERS[path]).items()}
        assert {field for field, _ in seen} == allowed.keys()
        for field, name in seen:
            assert allowed[field] & {name, _WIDER.get(name)}, (field, name)


def test_the_book_names_each_state() -> None:
    """All that `state` may be is in its row."""
    (row,) = re.findall(r"^\| `state` \| string \| (.+) \|$", BOOK, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(State)
