"""Loads: each is a program of its own that puts work on a port and prints one line of JSON about it."""

from __future__ import annotations

import json
import subprocess
import sys

from bench import ROOT

TIMEOUT = 120.0  # no single load takes so long, however slow the relay


def arguments(load: str, *words: object) -> list[str]:
    """Write the command that runs *load*."""
    return [sys.executable, "-m", f"bench.loads.{load}", *map(str, words)]


def last_line(text: str) -> str:
    """Take from what a program wrote the line that says why it ended."""
    return (text.strip().splitlines() or ["no word"])[-1][-300:]


def run(load: str, *words: object) -> dict[str, float]:
    """Run *load* to its end and return what it measured.

    Raises:
        RuntimeError: it failed; the message has its last words.
    """
    done = subprocess.run(
        arguments(load, *words), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"load {load}: {last_line(done.stderr)}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
