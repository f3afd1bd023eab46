"""Start the command line; the health check, which runs every few seconds, without all that it does not need."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `ambassador` with the arguments of this process, and exit with its code."""
    if sys.argv[1:] == ["healthcheck"]:
        from ambassador.healthcheck import main as run
    else:
        from ambassador.cli import main as run
    sys.exit(run())


if __name__ == "__main__":
    main()
