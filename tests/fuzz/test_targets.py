"""Each target with its corpus, and with inputs made from it that are always the same; for more see CONTRIBUTING."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import targets
from tests.fuzz.mutation import mutated

if TYPE_CHECKING:
    from pathlib import Path

# Of each target; together they take a few seconds.
CASES = 150
SEEDS = [pytest.param(name, seed, id=f"{name}-{seed.name}") for name in targets.names() for seed in targets.seeds(name)]


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_the_corpus_holds(name: str, seed: Path) -> None:
    """What once failed, and what is typical, does nothing that it should not."""
    targets.load(name).check(seed.read_bytes())


@pytest.mark.parametrize("name", targets.names())
def test_what_is_made_of_the_corpus_holds(name: str) -> None:
    """A few changes to what is in the corpus do nothing that they should not."""
    target = targets.load(name)
    corpus = [seed.read_bytes() for seed in targets.seeds(name)]
    for number in range(CASES):
        random = Random(number)  # noqa: S311 - inputs, not secrets
        data = mutated(random.choice(corpus), target.WORDS, random, target.LONGEST)
        try:
            target.check(data)
        except BaseException as error:
            error.add_note(f"target {name}, with {data!r}")
            raise
