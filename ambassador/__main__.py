"""Start the command line; the health check, which runs every few seconds, without all that it does not need."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed, or a socket of ours would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def main() -> None:
    """Run `ambassador` with the arguments of this process, and exit with its code."""
    open_standard_streams()
    if sys.argv[1:] == ["healthcheck"]:
        from ambassador.healthcheck import main as run
    else:
        from ambassador.cli import main as run
    sys.exit(run())


if __name__ == "__main__":
    main()
