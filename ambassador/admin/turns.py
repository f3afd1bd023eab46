"""How much of the event loop the admin server's clients may take from the relays, which run on the same one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

_T = TypeVar("_T")

# After a heavy answer nothing of its kind is made for so many times as long as it took: a tenth of the time at most ...
_REST: Final = 9.0
# ... but nobody waits longer than this for that reason, in seconds.
LONGEST_REST: Final = 0.25


class Turns:
    """Let one client go on in each turn of the event loop, first come, first served."""

    def __init__(self) -> None:
        self._line = asyncio.Lock()

    async def mine(self) -> None:
        """Return when it is the caller's turn."""
        async with self._line:
            await asyncio.sleep(0)


class Shared(Generic[_T]):
    """Make heavy answers of one kind, one at a time, and rest in between.

    Whoever asks gets an answer that was begun after the question, and shares it with all who asked the same until
    then: no answer is ever old, and a crowd costs no more than one. *one* is held meanwhile, so that kinds take turns.
    """

    def __init__(self, one: asyncio.Lock) -> None:
        self._one = one
        self._line = asyncio.Lock()
        self._awake = 0.0
        self._waiting: dict[Hashable, asyncio.Task[_T]] = {}

    async def get(self, make: Callable[[], Awaitable[_T]], key: Hashable = None) -> _T:
        """Return what *make* makes; who asks with the same *key* asks the same."""
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.get_running_loop().create_task(self._make(make, key), name="answer")
            task.add_done_callback(_taken_note_of)
        return await asyncio.shield(task)  # whoever gives up waiting leaves it to the others

    async def _make(self, make: Callable[[], Awaitable[_T]], key: Hashable) -> _T:
        loop = asyncio.get_running_loop()
        async with self._line:
            await asyncio.sleep(self._awake - loop.time())
            async with self._one:
                del self._waiting[key]
                started = loop.time()
                try:
                    return await make()
                finally:
                    now = loop.time()
                    self._awake = now + min(LONGEST_REST, _REST * (now - started))


def _taken_note_of(task: asyncio.Task[object]) -> None:
    """Keep asyncio from complaining about an error that nobody waited for any more."""
    if not task.cancelled():
        task.exception()
