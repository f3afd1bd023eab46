"""Measure relays beside each other: the same work through each, in one interleaved run (`python -m bench --help`)."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # where `python -m bench` and `python -m ambassador` work
