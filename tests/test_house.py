"""Tests stand where somebody looks for them, and where the documents say that they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.process import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# What more than one module does, or all of a package. Whatever is about a single module has its name.
SEVERAL = {
    "config/test_properties.py": "every environment, from its variables to the configuration",
    "relay/test_copy.py": "direction and relay, where bytes are copied",
    "relay/test_endings.py": "direction and relay, at the end of a stream and at a reset",
    "relay/test_stalls.py": "spliced directions and pipes, where readers stall",
    "server/test_faults.py": "connections and relays, when something of ours fails",
    "tunnel/test_openssl.py": "the codec and its keys, beside OpenSSL's own programs",
    "tunnel/test_refusals.py": "the codec and its credentials, with a peer that is none",
    "tunnel/test_refusals_certificates.py": "the same, where its certificate is not the right one",
    "upstream/test_first_bytes.py": "a dial and the relay after it",
    "workers/test_deaths.py": "pool, handles and workers, when a worker dies",
}


def is_named_after_a_module(test: Path) -> bool:
    """Tell whether *test* is `test_<module>.py`, or `test_<module>_<aspect>.py`, of a module of the mirrored folder."""
    package = ROOT / "ambassador" / test.parent.relative_to(ROOT / "tests")
    words = test.stem.removeprefix("test_").split("_")
    return any((package / f"{'_'.join(words[:end])}.py").exists() for end in range(1, len(words) + 1))


def test_a_modules_tests_have_its_name() -> None:
    """In a folder that mirrors a package each file is named after a module, or listed here with what it is about."""
    packages = [path.parent.name for path in (ROOT / "ambassador").glob("*/__init__.py")]
    tests = [test for name in packages for test in (ROOT / "tests" / name).glob("test_*.py")]
    others = {f"{test.parent.name}/{test.name}" for test in tests if not is_named_after_a_module(test)}

    assert len(tests) > len(packages)
    assert others == set(SEVERAL)


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_a_test_that_a_document_names_exists(document: Path) -> None:
    """Whoever follows a document to `file::test` finds both."""
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", document.read_text(encoding="utf-8")):
        assert (ROOT / file).exists(), file
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def mapped() -> set[str]:
    """Return the files that CONTRIBUTING's map names, by their paths within the package."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.partition("\nambassador/\n")[2].partition("```")[0]
    found: set[str] = set()
    folder = ""
    for line in block.splitlines():
        names = re.findall(r"\w+(?:\.py|/)", re.split(r"\s{2,}", line.strip())[0])
        if line.startswith("    "):
            found.update(f"{folder}{name}" for name in names)
        else:
            folder = names[0]
            found.update(names)
    return found


def test_the_map_names_every_file() -> None:
    """CONTRIBUTING's map has every module of the package, in its folder, and none that is not there."""
    package = ROOT / "ambassador"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if path.name != "__init__.py"}

    assert {name for name in mapped() if name.endswith(".py")} == modules


def test_where_to_change_what_names_files_that_exist() -> None:
    """Every file in CONTRIBUTING's table of changes is there."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where to change what")[2]
    named = re.findall(r"`(\w+(?:/\w+)*\.py)`", table.partition("\n## ")[0])

    assert len(named) > 20
    assert [name for name in named if not (ROOT / "ambassador" / name).exists()] == []


@pytest.mark.parametrize("folder", ["ambassador", "bench", "tests"])
def test_a_file_can_be_held_in_the_head(folder: str) -> None:
    """No file of code has more than 300 lines."""
    suffixes = {".py", ".js", ".css", ".html"}
    paths = [
        path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes and "node_modules" not in path.parts
    ]

    assert {str(path): n for path in paths if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300} == {}
