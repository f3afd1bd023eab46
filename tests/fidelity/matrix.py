"""Run every scenario against ours and the installed peers, and write the conformance matrix into docs/fidelity.md.

Usage: python tests/fidelity/matrix.py [--only NAME]... [--runs N] [--output FILE]

Needs nothing installed but the relays themselves; a relay that is missing has no column. Exit code 1 if ours has a
failing row.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from oracle.catalogue import FAMILIES, SCENARIOS
from oracle.performance import judged, performing, performing_direct
from oracle.relays import AMBASSADORS, PEERS
from oracle.scenario import Amount
from oracle.subjects import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oracle.scenario import Scenario
    from oracle.subjects import Subject
    from oracle.trace import Outcome

    Reasons = dict[str, str]  # by scenario; empty where it passes

DOCUMENT = ROOT / "docs" / "fidelity.md"
_BEGIN, _END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->"
_DIRECTIONS = (", by client", ", by server")
_EXCUSES = {Amount.ALL: "¹", Amount.ACKNOWLEDGED: "²", Amount.SOME: "³"}
# For each direct reference: 20 runs, slow scenarios (seconds of silence) as many of them as fit into a few seconds.
_DIRECT_SECONDS = 10.0


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="only this relay; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="a scenario passes if it passes so many times (default 3)")
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="the document with the matrix in it")
    options = parser.parse_args()
    subjects = [one for one in (*AMBASSADORS, *PEERS) if options.only is None or one.name in options.only]
    versions = {subject.name: version for subject in subjects if (version := subject.version())}
    present = [subject for subject in subjects if subject.name in versions]
    _say("directly, up to 20 times each")
    direct = _direct()
    results = {subject.name: _results(subject, direct, runs=options.runs) for subject in present}
    matrix = "\n".join(_document(versions, results, runs=options.runs))
    before, _, rest = options.output.read_text().partition(_BEGIN)
    options.output.write_text(f"{before}{_BEGIN}{matrix}\n{_END}{rest.partition(_END)[2]}")
    ours = [reason for one in AMBASSADORS for reason in results.get(one.name, {}).values() if reason]
    return 1 if ours else 0


def _direct() -> dict[str, list[Outcome]]:
    with performing_direct(tuple(SCENARIOS.values()), seconds=_DIRECT_SECONDS) as futures:
        direct = {name: future.result() for name, future in futures.items()}
    for name, runs in direct.items():
        if any(judged(SCENARIOS[name], runs[:1], one) for one in runs):
            raise SystemExit(f"direct runs of '{name}' differ in more than is excused")
    return direct


def _results(subject: Subject, direct: dict[str, list[Outcome]], *, runs: int) -> Reasons:
    """Run all scenarios, and those that pass again: a relay that fails now and then fails."""
    reasons = dict.fromkeys(SCENARIOS, "")
    for number in range(1, runs + 1):
        left = [SCENARIOS[name] for name, reason in reasons.items() if not reason]
        _say(f"{subject.name}: run {number} of {runs}, {len(left)} scenarios")
        with performing(subject, left) as futures:
            for name, future in futures.items():
                outcome = future.result()
                found = judged(SCENARIOS[name], direct[name], outcome, tunnel=subject.pair)
                if found:
                    reasons[name] = found[0]
                    _say(f"  {name}: {'; '.join(found)}")
    return reasons


# --- the document


def _document(versions: dict[str, str], results: dict[str, Reasons], *, runs: int) -> Iterator[str]:
    today = dt.datetime.now(tz=dt.UTC).date()
    kernel = platform.release().partition("-")[0]
    yield f"Linux {kernel}, {today}. Passed, {runs} times of {runs}, of {len(SCENARIOS)} scenarios:\n"
    yield from _table(("relay", "version", "passed"), _totals(versions, results))
    for family, scenarios in FAMILIES.items():
        yield f"\n### {family}\n"
        yield from _table(("scenario", *results), _rows([one for one in scenarios if not one.apart], results))
    yield "\n### What no relay can do as a direct connection does\n"
    yield "Here a mark says whether the relay does what the contract says instead.\n"
    apart = [one for one in SCENARIOS.values() if one.apart]
    yield from _table(("scenario", *results), _rows(apart, results))
    yield ""
    for reason in dict.fromkeys(one.apart for one in apart):
        names = dict.fromkeys(_base(one.name) for one in apart if one.apart == reason)
        yield f"- *{'*, *'.join(names)}*: {reason}."


def _totals(versions: dict[str, str], results: dict[str, Reasons]) -> Iterator[Sequence[str]]:
    for name, reasons in results.items():
        yield name, versions[name], str(sum(not reason for reason in reasons.values()))


def _rows(scenarios: Iterable[Scenario], results: dict[str, Reasons]) -> Iterator[Sequence[str]]:
    """Make one row of the two directions of a scenario."""
    pairs: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        pairs.setdefault(_base(scenario.name), []).append(scenario)
    for base, both in pairs.items():
        cells = (_cell([reasons[one.name] for one in both]) for reasons in results.values())
        yield base + ("⁴" if both[0].tunnelled else _EXCUSES.get(both[0].amount, "")), *cells


def _cell(reasons: Sequence[str]) -> str:
    marks = [f"✗ {reason.split(': ', 1)[-1]}" if reason else "✓" for reason in reasons]
    return marks[0] if len(set(marks)) == 1 else " / ".join(marks)


def _base(name: str) -> str:
    return re.sub(f"({'|'.join(_DIRECTIONS)})$", "", name)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
