"""Urgent bytes (RFC 6093): where the mark is, in line or apart from the stream."""

from __future__ import annotations

from functools import partial
from itertools import chain

from oracle.scenario import (
    BULK,
    SMALL,
    Allowed,
    Scenario,
    Script,
    await_ending,
    both_ways,
    close,
    end_of_stream,
    read_to_end,
    read_to_mark,
    send,
    send_urgent,
    tell,
    urgent_inline,
    wait,
)
from oracle.trace import END, RECEIVED, UNMARKED

_TURNS = 5
_ask: Script = (end_of_stream(), read_to_end())
_reply: Script = (read_to_end(), close())


def urgent() -> tuple[Scenario, ...]:
    """Return all scenarios of this kind."""
    inline: Script = (urgent_inline(), tell("ready"))
    apart: Script = (tell("ready"),)
    return tuple(chain(_with("read inline", inline), _with("not read inline", apart)))


def _with(how: str, ready: Script) -> tuple[Scenario, ...]:
    """Return the scenarios for readers that got ready in one way."""
    before: Script = (send(SMALL), send_urgent(), send(SMALL))
    turns = tuple(chain.from_iterable((send(SMALL), send_urgent(), wait(f"mark {n}")) for n in range(_TURNS)))
    marks = tuple(chain.from_iterable((read_to_mark(SMALL), tell(f"mark {n}")) for n in range(_TURNS)))
    seen: Script = (read_to_mark(), *_reply)
    return (
        *_both_ways(f"urgent byte, {how}", before, (*ready, *seen)),
        *_both_ways(f"urgent byte at first, {how}", (send_urgent(), send(SMALL)), (*ready, *seen)),
        *_both_ways(f"urgent byte and the end, {how}", (send(SMALL), send_urgent()), (*ready, *seen)),
        *_both_ways(f"urgent byte amid bulk, {how}", (send(BULK), send_urgent(), send(BULK)), (*ready, *seen)),
        *_both_ways(f"urgent bytes in turns, {how}", turns, (*ready, *marks, *_reply), marks=_TURNS),
        # A stream has one mark: the byte of the first is one of many when the reader comes.
        *_both_ways(
            f"two urgent bytes, {how}, late", (*before, send_urgent(), send(SMALL)), (*ready, await_ending(), *seen)
        ),
    )


def _both_ways(name: str, actor: Script, reader: Script, *, marks: int = 1) -> tuple[Scenario, ...]:
    # TLS has no marks: all bytes come in their places.
    unmarked: Allowed = (("connected", RECEIVED, END), ("connected", *(UNMARKED,) * marks, RECEIVED, END))
    make = partial(both_ways, tunnelled=unmarked)
    return make(name, (wait("ready"), *actor, *_ask), reader)
