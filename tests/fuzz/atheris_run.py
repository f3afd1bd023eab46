"""One target under atheris, in a process of its own, which ends with it: `python -m tests.fuzz.atheris_run TARGET ...`.

What follows the target is libFuzzer's (https://llvm.org/docs/LibFuzzer.html). Only what comes from `ambassador` is
measured: of what OpenSSL or pydantic do no branch is known.
"""

from __future__ import annotations

import importlib
import sys
from random import Random

from tests.fuzz import targets
from tests.fuzz.mutation import mutated


def main() -> None:
    """Make up inputs until libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")  # not there on every Python
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["ambassador"]):
        target = targets.load(name)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - inputs, not secrets
        if random.random() < 0.5:
            return mutated(data, target.WORDS, random, longest)
        made: bytes = atheris.Mutate(data, len(data))
        return made

    atheris.Setup([sys.argv[0], *arguments, f"-max_len={target.LONGEST}"], target.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
