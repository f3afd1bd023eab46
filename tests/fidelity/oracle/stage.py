"""Run one scenario: two scripts, two threads, and signals between them that take another way than the relay."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from oracle.end import End
from oracle.trace import Outcome
from oracle.watched import ScriptOver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.scenario import Scenario, Step
    from oracle.subjects import Route


class Signals:
    """Facts that one end tells the other, out of band."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._over: set[str] = set()
        self._changed = threading.Condition()

    def tell(self, fact: str) -> None:
        """Let the other end go on."""
        with self._changed:
            self._told.add(fact)
            self._changed.notify_all()

    def leave(self, end: str) -> None:
        """Take note that *end* has played its script, so that nobody waits for it."""
        with self._changed:
            self._over.add(end)
            self._changed.notify_all()

    def wait(self, fact: str, *, of: str, patience: float) -> bool:
        """Wait until *of* tells *fact*; False if it left without, or *patience* seconds are over."""
        deadline = time.monotonic() + patience
        with self._changed:
            while fact not in self._told:
                left = deadline - time.monotonic()
                if of in self._over or left <= 0:
                    return False
                self._changed.wait(left)
        return True


def play(scenario: Scenario, route: Route, *, direct: bool) -> Outcome:
    """Run *scenario* once over *route*; both ends' sockets and the route's listener are closed afterwards."""
    signals = Signals()
    client = End("client", route, signals, direct=direct, narrow=scenario.narrow)
    server = End("server", route, signals, direct=direct, narrow=scenario.narrow)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=_follow, args=(end, steps, failures), name=f"{scenario.name} {end.name}")
        for end, steps in ((client, scenario.client), (server, scenario.server))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        client.dispose()
        server.dispose()
        route.upstream.close()
    if failures:
        raise failures[0]
    return Outcome(client.trace(), server.trace())


def _follow(end: End, steps: Sequence[Step], failures: list[BaseException]) -> None:
    try:
        for step in steps:
            step(end)
    except ScriptOver:
        pass
    except BaseException as failure:  # noqa: BLE001 - a bug of a script; raised again by `play`, in the caller's thread
        failures.append(failure)
    finally:
        end.signals.leave(end.name)
