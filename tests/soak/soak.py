"""Mixed traffic with faults for minutes on end: memory stays flat, nothing is lost, every byte is accounted for.

Run it from the top of the checkout: python -m tests.soak.soak --minutes 10
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.soak.traffic import Client, Ledger, upstream
from tests.support.deadline import eventually
from tests.support.net import LOCAL, black_hole, connect, exactly, free_port
from tests.support.process import Ambassador
from tests.support.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.process import Event

_THREADS = 12
_IDLE = 10
# Python's allocator and the log's buffer come and go within this; a leak of 100 bytes a connection would not fit.
_FLAT_BYTES = 4_000_000
# The routes, in their order: a live upstream, one that refuses, one that never answers, one that comes and goes.
_LIVE, _REFUSING, _SILENT, _FLAPPING = range(4)
_KINDS = [
    *[("chat", _LIVE)] * 6,
    *[("bulk", _LIVE)] * 3,
    *[("question", _LIVE)] * 4,
    *[("reset_by_client", _LIVE)] * 3,
    *[("reset_by_upstream", _LIVE)] * 3,
    ("unreached", _REFUSING),
    ("unreached", _SILENT),
    *[("flapping", _FLAPPING)] * 4,
]


class Soak:
    """One run against one ambassador."""

    def __init__(self, running: Ambassador, flapping: Server, admin: str) -> None:
        self.running = running
        self.flapping = flapping
        self.admin = admin
        self.ledger = Ledger()
        self.memory: list[int] = []
        self.base = running.descriptors()
        self._stop = threading.Event()

    def run(self, seconds: float) -> None:
        """Make traffic and faults for *seconds*, then let everything end."""
        workers = [threading.Thread(target=self._work, args=(number,)) for number in range(_THREADS)]
        workers += [threading.Thread(target=self._flap), threading.Thread(target=self._disturb)]
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(connect(self.running.ports[_LIVE])) for _ in range(_IDLE)]
            for sock in idle:
                sock.sendall(b"i")
                exactly(sock, 1)
            for worker in workers:
                worker.start()
            self._watch(seconds)
            self._stop.set()
            for worker in workers:
                worker.join()
            for sock in idle:  # after all that, they are as they were
                sock.sendall(b"still here")
                if exactly(sock, 10) != b"still here":
                    self.ledger.complain("an idle connection is not what it was")
        if any(worker.is_alive() for worker in workers):
            self.ledger.complain("a client never ended")

    def _work(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - no secret
        while not self._stop.is_set():
            kind, route = chance.choice(_KINDS)
            Client(self.running.ports[route], chance, self.ledger).run(kind)

    def _flap(self) -> None:
        while not self._stop.wait(0.3):
            self.flapping.stop_listening()
            self._stop.wait(0.2)
            self.flapping.start()

    def _disturb(self) -> None:
        """Stop the process for a moment now and then, and have it reload."""
        while not self._stop.wait(5):
            self.running.signal(signal.SIGHUP)
            self.running.signal(signal.SIGSTOP)
            time.sleep(0.5)
            self.running.signal(signal.SIGCONT)

    def _watch(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not self.ledger.wrong:
            time.sleep(1)
            self.memory.append(self.running.memory())

    def problems(self) -> list[str]:
        """Return everything that is not as it has to be, once all connections have ended."""
        found = list(self.ledger.wrong)
        lines = self.running.closed(len(self.ledger.expected) + _IDLE)
        found += self._unaccounted(lines)
        found += self._miscounted(lines)
        quarter = max(1, len(self.memory) // 4)
        growth = max(self.memory[-quarter:]) - max(self.memory[quarter : 2 * quarter] or self.memory)
        if growth > _FLAT_BYTES:
            found.append(f"memory grew by {growth:,} bytes: {[value >> 20 for value in self.memory]} MiB")
        with contextlib.suppress(AssertionError):
            eventually(lambda: self.running.descriptors() <= self.base + 4 * (_THREADS + _IDLE), patience=10)
            return found
        return [*found, f"{self.running.descriptors()} descriptors where {self.base} were"]

    def _unaccounted(self, lines: list[Event]) -> Iterator[str]:
        """Compare every connection with its line; of a port that was used again, what is exact comes first."""
        by_client: dict[str, list[Event]] = defaultdict(list)
        for line in lines:
            by_client[line["client"]].append(line)
        for entry in sorted(self.ledger.expected, key=lambda entry: (entry.up is None, entry.down is None)):
            candidates = by_client[entry.client]
            fitting = next((line for line in candidates if entry.fits(line)), None)
            if fitting is None:
                yield f"no line for {entry}, but {candidates}"
            else:
                candidates.remove(fitting)
        left = sum(map(len, by_client.values()))
        if left != _IDLE:
            yield f"{left} lines are left where {_IDLE} idle connections were"

    def _miscounted(self, lines: list[Event]) -> Iterator[str]:
        """Compare the metrics with the access log."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        metrics: Counter[tuple[str, ...]] = Counter()
        for sample in samples:
            labels = [sample.labels[name] for name in ("route", "end", "direction") if name in sample.labels]
            metrics[sample.name, *labels] += int(sample.value)
        logged: Counter[tuple[str, ...]] = Counter()
        for line in lines:
            route = line["route"]
            logged["ambassador_connections_total", route, line["end"]] += 1
            logged["ambassador_bytes_total", route, "up"] += line["bytes_up"]
            logged["ambassador_bytes_total", route, "down"] += line["bytes_down"]
            logged["ambassador_connections_active", route] = 0
        for key, value in logged.items():
            if metrics[key] != value:
                yield f"{key} is {value} in the access log and {metrics[key]} in the metrics"


def soak(seconds: float, *, loop: str = "uvloop") -> tuple[list[str], str]:
    """Run for *seconds*; return what went wrong, and a line on what was done."""
    admin = f"{LOCAL}:{free_port()}"
    settings = {"ADMIN": admin, "CONNECT_TIMEOUT": "1s"}
    with contextlib.ExitStack() as stack:
        live, flapping = stack.enter_context(Server(upstream)), stack.enter_context(Server(upstream))
        ports = [live.port, free_port(), stack.enter_context(black_hole()), flapping.port]
        running = Ambassador(ports, settings, loop=loop, files=None, prelude="", arguments=(), links={})
        stack.callback(running.close)
        running.ready()
        run = Soak(running, flapping, admin)
        run.run(seconds)
        problems = run.problems()
        lines = running.named("connection.closed")
        moved = sum(line["bytes_up"] + line["bytes_down"] for line in lines)
        code = running.stop()
        if code or running.lines:
            problems.append(f"it ended with {code} and said {running.lines}")
        memory = [value >> 20 for value in run.memory]
        said = (
            f"{len(lines):,} connections, {moved / 2**30:.1f} GiB, memory {min(memory)} to {max(memory)} MiB, "
            f"last {memory[-1]} MiB; {dict(sorted(run.ledger.done.items()))}"
        )
    return problems, said


def main() -> int:
    """Run for as long as the command line says; return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    options = parser.parse_args()
    problems, said = soak(options.minutes * 60, loop=options.loop)
    sys.stdout.write("\n".join([said, *problems[:50], f"{len(problems)} problems", ""]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
