"""`python -m tests.fuzz [TARGET...] [--seconds N]`: make up inputs for targets, all beside each other.

What grows of the corpus is kept in `.fuzz/TARGET`, and an input that fails in `.fuzz/failures`, with the line to run it
again: a failure that is repaired leaves its input in `tests/fuzz/corpus/TARGET`, where pytest tries it from then on.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import targets

ROOT = Path(__file__).parents[2]
_FOUND = ROOT / ".fuzz"
_FAILURES = _FOUND / "failures"
_SECONDS = 60
# A run of one input that takes longer, in seconds, is a failure, as is more memory, in MiB. Usual: 0.01 and 150.
_SLOWEST, _MOST_MEMORY = 10, 512
_STATE = re.compile(r"^#(\d+)\s+(?:INITED|DONE)\s+cov: (\d+) .*?corp: (\d+)/", re.MULTILINE)
_PROGRESS = re.compile(r"^(?:#\d|0x|Base64:|INFO:|WARNING:).*\n", re.MULTILINE)
_SAVED = re.compile(r"Test unit written to (\S+)")


@dataclass(slots=True)
class Run:
    """A target's process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, seconds: int, folder: Path) -> Run:
        """Start it, for some seconds."""
        found, log = _FOUND / name, folder / f"{name}.log"
        found.mkdir(parents=True, exist_ok=True)
        _FAILURES.mkdir(exist_ok=True)
        arguments = [
            f"-max_total_time={seconds}", f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MOST_MEMORY}",
            f"-artifact_prefix={_FAILURES / name}-", found, targets.CORPUS / name,
        ]  # fmt: skip
        command = [sys.executable, "-m", "tests.fuzz.atheris_run", name, *map(str, arguments)]
        environ = os.environ | {"TMPDIR": str(folder)}  # libFuzzer ends a process without its farewells
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environ
            )
        return cls(name, process, log)

    def end(self) -> bool:
        """Wait for its end, say how it went, and tell whether nothing was found."""
        code = self.process.wait()
        text = self.log.read_text(encoding="utf-8", errors="replace")
        states = [tuple(map(int, match.groups())) for match in _STATE.finditer(text)]
        if code == 0 and len(states) > 1:
            (_, before, seeds), (runs, after, corpus) = states[0], states[-1]
            seconds = re.search(r"Done \d+ runs in (\d+) second", text)
            pace = runs // max(1, int(seconds[1])) if seconds else runs
            grown = f"branches {before} -> {after}, inputs {seeds} -> {corpus}"
            print(f"{self.name}: {runs} runs, {pace} a second, {grown}")
            return True
        print(f"{self.name}: FAILED ({code})\n{_PROGRESS.sub('', text)[-8000:]}")
        for saved in _SAVED.findall(text):
            # All of it, since what is saved is gone with the machine that found it.
            data = base64.b64encode(Path(saved).read_bytes()).decode()
            print(f"Again: python -m tests.fuzz {self.name} --base64 {data}")
        return False


def main() -> int:
    """Run what is asked for; return 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition(":")[2])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets.names())}; default: all")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help=f"for each target; default: {_SECONDS}")
    parser.add_argument("--input", type=Path, help="run one target with this file, without atheris")
    parser.add_argument("--base64", help="the same, with these bytes")
    options = parser.parse_args()
    names = options.targets or targets.names()
    if unknown := set(names) - set(targets.names()):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.input or options.base64 is not None:
        data = options.input.read_bytes() if options.input else base64.b64decode(options.base64)
        for name in names:
            targets.load(name).check(data)
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("needs atheris, which requirements-dev.lock installs for Python 3.13 on x86-64")
    with tempfile.TemporaryDirectory() as folder:
        runs = [Run.start(name, options.seconds, Path(folder)) for name in names]
        try:
            return min(1, [run.end() for run in runs].count(False))
        finally:
            for run in runs:
                run.process.kill()
                run.process.wait()


if __name__ == "__main__":
    sys.exit(main())
