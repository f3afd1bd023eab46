"""Start the command line. The health check, which runs every few seconds, is started without importing it."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed, or a socket of ours would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            # None until now, which has no write().
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    # As standard error does by default: a character that the terminal does not know ends no command.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def end_standard_streams() -> None:
    """Flush the output. What cannot be written goes to /dev/null, or the interpreter would exit with code 120."""
    for number, stream in enumerate((sys.stdout, sys.stderr), start=1):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


# Commands that print an answer and end: signals keep their usual effect on them.
_ONE_SHOT = frozenset({"check", "healthcheck", "wait", "status", "keygen", "demo"})


def handle_signals() -> None:
    """Let SIGTERM end a start, and SIGHUP not: the kernel delivers no signal to process 1 without a handler."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nobody was served yet
    # Not SIG_IGN, which whatever is started from here would inherit.
    signal.signal(signal.SIGHUP, lambda *_: None)


def main() -> None:
    """Run `ambassador` with the arguments of this process, and exit with its code."""
    open_standard_streams()
    if not _ONE_SHOT.intersection(sys.argv[1:2]):
        handle_signals()
        # Modules stay: to collect among what they make finds nothing, and is 6 % of a start. Who serves enables it.
        gc.disable()
    if sys.argv[1:] == ["healthcheck"]:
        from ambassador.commands.healthcheck import main as run
    else:
        from ambassador.cli import main as run
    try:
        code = run()
    finally:
        end_standard_streams()
    sys.exit(code)


if __name__ == "__main__":
    main()
