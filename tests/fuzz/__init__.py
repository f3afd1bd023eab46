"""Fuzzing: what strangers, peers and files may send, made up by atheris, or read from a corpus by pytest.

A target is a file in `targets/` with a function `check(data: bytes)` that raises where something does not hold, and
the words that inputs are made of; its seeds, and the inputs that once failed, are the files in `corpus/<target>/`.
"""
