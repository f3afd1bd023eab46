"""Loads that last as long as something else is measured."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import ROOT
from bench.loads import TIMEOUT, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Held:
    """A load that runs and has said that it is ready."""

    process: subprocess.Popen[str]

    def finish(self) -> dict[str, float]:
        """End the load and return what it measured, if anything."""
        output, _ = self.process.communicate(timeout=TIMEOUT)  # closing its input is the signal
        measured: dict[str, float] = json.loads(output) if output.strip() else {}
        return measured


@contextlib.contextmanager
def held(load: str, *words: object) -> Iterator[Held]:
    """Start *load*, wait until it says that it is ready, and end it at the latest on leaving.

    Raises:
        RuntimeError: it ended instead; its own words are on standard error.
    """
    process = subprocess.Popen(
        arguments(load, *words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"load {load} did not get ready")
            yield Held(process)
        finally:
            process.kill()
