"""Look-ups beside the event loop: in threads, or by a helper process where no thread can be had."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import structlog

from ambassador.upstream.helper import Helper
from ambassador.upstream.name_service import answered

if TYPE_CHECKING:
    import asyncio

    from ambassador.upstream.helper import Answer

log = structlog.get_logger()

# With fewer threads than this at once a few silent names would leave none for the others. A helper process can be ended
# in the middle of a look-up; a thread cannot.
_ENOUGH_THREADS = 8
# Workers share what room there is for a helper: one that nobody waits for at the end of such a time, in seconds, ends.
_LEND = 1.0
_NO_ROOM = "no thread and no process can be started to look it up: raise the pids limit"


class Lookups:
    """Ask the name service for one process. Call it from the event loop only; answers come there, too.

    Owns the helper process, if there is one; `close` ends it. *alone* says that no sibling may need its room.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, alone: bool = True) -> None:
        self._loop = loop
        self._alone = alone
        self._helper: Helper | None = None
        self._short = False
        self._told = False

    def prepare(self) -> None:
        """Start the helper process now if there are hardly any threads: there may be no room for it later."""
        self._short = not _enough_threads()
        if self._short:
            self._live_helper()

    def start(self, name: str, answer: Answer) -> None:
        """Call *answer* with the addresses of *name*, or with none and the reason. Never calls it before returning."""
        ways = (self._by_helper, self._by_thread) if self._short else (self._by_thread, self._by_helper)
        if not any(way(name, answer) for way in ways):
            self._loop.call_soon(answer, (), _NO_ROOM)

    def close(self) -> None:
        """End the helper process. A look-up that is under way gets no answer from it."""
        if self._helper is not None:
            self._helper.close()

    def _by_thread(self, name: str, answer: Answer) -> bool:
        """Look *name* up in a thread of its own; tell whether there is one.

        A shared pool would let one silent name hold up the others, and an executor's threads are waited for at exit.
        """
        try:
            threading.Thread(target=self._look_up, args=(name, answer), name=f"lookup {name}", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def _look_up(self, name: str, answer: Answer) -> None:
        addresses, reason = answered(name)
        with contextlib.suppress(RuntimeError):  # the loop was closed while the name server was silent
            self._loop.call_soon_threadsafe(answer, addresses, reason)

    def _by_helper(self, name: str, answer: Answer) -> bool:
        """Have the helper look *name* up; tell whether there is one."""
        helper = self._live_helper()
        return helper is not None and helper.ask(name, answer)

    def _live_helper(self) -> Helper | None:
        """Return the helper, started now if there is none; None where there is no room for it."""
        if self._helper is None or self._helper.closed:
            try:
                self._helper = Helper(self._loop, again=self.start)
            except OSError:
                return None
            self._short = True
            if not self._told:
                log.info("resolver.helper_started", pid=self._helper.pid)
                self._told = True
            if not self._alone:
                self._loop.call_later(_LEND, self._lend, self._helper)
        return self._helper

    def _lend(self, helper: Helper) -> None:
        """Leave the room of an idle helper to a sibling."""
        if helper.idle:
            helper.close()
        elif not helper.closed:
            self._loop.call_later(_LEND, self._lend, helper)


def _enough_threads() -> bool:
    """Tell whether a good number of threads can be had at once, by starting them."""
    over = threading.Event()
    threads = [threading.Thread(target=over.wait, name="probe", daemon=True) for _ in range(_ENOUGH_THREADS)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        over.set()
        for thread in started:
            thread.join()
    return True
