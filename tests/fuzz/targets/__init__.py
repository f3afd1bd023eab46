"""The targets, one a file, each of which is found by being here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

CORPUS = Path(__file__).parents[1] / "corpus"


class Target(Protocol):
    """What a target's file holds.

    Attributes:
        WORDS: what its inputs are made of, for those who make up inputs.
        LONGEST: bytes, the longest input worth making up.
    """

    WORDS: tuple[bytes, ...]
    LONGEST: int

    def check(self, data: bytes) -> None:
        """Raise anything at all if *data* does what nothing should do."""


def names() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(name: str) -> Target:
    """Return the target of that name."""
    return cast("Target", importlib.import_module(f"tests.fuzz.targets.{name}"))


def seeds(name: str) -> list[Path]:
    """Return the corpus of a target."""
    return sorted((CORPUS / name).iterdir())
