"""The documents: links lead somewhere, and what they say of the settings is what the code says."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.config.by_route import ByRoute
from ambassador.config.filter import LinkFilter
from ambassador.config.settings import NAMES, Settings
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).parts,
)
# What a reader follows and a host name would answer is not looked up here.
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\]\(\s*<?([^\s()<>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ROW = re.compile(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*)°? \|(?: (\S.*?))? \| .+ \|$", re.MULTILINE)
# Defaults that the table writes in words.
IN_WORDS: dict[str, Any] = {
    "all but `KUBERNETES`": LinkFilter(),
    "all addresses": ("",),
    "all": (),
    "from the open-files limit": None,
}


def prose(document: Path) -> str:
    """Return the text of a document without its blocks of code."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> Iterator[str]:
    """Yield the targets of a document's links within the repository."""
    text = prose(document)
    for target in (*_INLINE.findall(text), *_REFERENCE.findall(text)):
        if not _ELSEWHERE.match(target):
            yield target


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(prose(document)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def table() -> list[tuple[str, str]]:
    """Return name and default of every setting in README's table, as written."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    return [(name, default) for names, default in _ROW.findall(text) for name in re.findall("[A-Z_]+", names)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_within_the_repository_resolve(document: Path) -> None:
    """Every relative link of a document names a file that exists, and a heading where it names one."""
    broken = []
    for target in links(document):
        path, _, anchor = target.partition("#")
        there = document.parent / path if path else document
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_links_are_found() -> None:
    """The test above sees the links that the README and the operations guide are known to have."""
    assert {"docs/operations.md", "docs/page.png", "CONTRIBUTING.md"} <= set(links(ROOT / "README.md"))
    assert "#endings" in set(links(ROOT / "docs" / "operations.md"))


def test_the_readme_has_every_setting_once() -> None:
    """The table of settings has a row for each setting, and none for what is not a setting."""
    assert sorted(name for name, _ in table()) == sorted(NAMES)


def value_of(settings: Settings, name: str) -> Any:
    """Return the value of a setting, of one that takes exceptions by route what holds without one."""
    value = getattr(settings, name.lower())
    return value.default if isinstance(value, ByRoute) else value


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_readme_has_the_defaults(name: str) -> None:
    """A default of the table, read as a user's text would be, is the default of the setting."""
    default, written = value_of(Settings(), name), dict(table())[name]
    if written.startswith("`"):
        assert value_of(Settings.model_validate({name.lower(): written.strip("`")}), name) == default
    elif written:
        assert IN_WORDS[written] == default
    else:
        assert default in (None, "", ())


def test_documents_name_no_setting_that_is_none() -> None:
    """Every AMBASSADOR_* that a document or an example names is a setting, or the file of one."""
    known = NAMES | {f"{name}_FILE" for name in NAMES}
    places = [*DOCUMENTS, *(path for path in (ROOT / "examples").rglob("*.y*ml")), *ROOT.glob("compose*.y*ml")]
    unknown = {
        (path.name, name)
        for path in places
        for name in re.findall(r"\bAMBASSADOR_([A-Z][A-Z_]*[A-Z])\b(?![_*…])", path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert not unknown
