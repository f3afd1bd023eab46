"""The commands, a file each: each has a `run` or `main` that returns the exit code."""
