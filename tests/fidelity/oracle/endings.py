"""Every ending x by whom x when x how much x who reads: 96 scenarios.

The *actor* ends the connection, the *peer* sees it.

- ending: the actor closes in order; it half-closes and hears the answer; it resets; it closes with bytes unread, which
  is a reset too (RFC 2525, 2.17).
- when: before the actor sent anything (the peer's bytes come afterwards), with its bytes still under way, or after the
  peer has read them all.
- how much: a message, or megabytes.
- reader: reads all the time, or does not read before the ending has happened.
"""

from __future__ import annotations

from itertools import chain, product

from oracle.scenario import (
    BULK,
    SMALL,
    Amount,
    Scenario,
    Script,
    await_bytes,
    await_ending,
    both_ways,
    close,
    end_of_stream,
    fill,
    read,
    read_to_end,
    reset,
    send,
    send_until_refused,
    tell,
    wait,
)

_SIZES = {"small": SMALL, "bulk": BULK}


def endings() -> tuple[Scenario, ...]:
    """Return the whole product."""
    combinations = product(_ENDINGS, ("before", "during", "after"), _SIZES, ("live", "stalled"))
    return tuple(chain.from_iterable(_scenarios(*combination) for combination in combinations))


def _scenarios(ending: str, when: str, size: str, reader: str) -> tuple[Scenario, Scenario]:
    count = _SIZES[size]
    full = size == "bulk" and reader == "stalled"
    begun, watching = _data(when, count, full=full)
    found = _found(reader, hidden=when == "during" and full)
    if ending == "half-close":
        actor, peer = _half_close(count, reader, found, full=full)
    else:
        # Before the actor sent anything, what it gets from its peer once it is gone is what the size is about.
        provoked: Script = (send_until_refused(count),) if when == "before" else ()
        actor = (_ENDINGS[ending], tell("ended"))
        peer = (*found, *provoked, read_to_end()) if reader == "stalled" else (read_to_end(), *provoked)
    if ending == "unread close":
        begun = (await_bytes(), wait("unread sent"), *begun)
        unread = fill() if when == "before" and full else send(min(count, 100_003) if when == "before" else SMALL)
        watching = (unread, tell("unread sent"), *watching)
    name = f"{ending} {when} data, {size}, {reader} reader"
    amount = _amount(ending, when, size, full=full)
    return both_ways(name, (*begun, *actor), (*watching, *peer), amount=amount, narrow=full)


_ENDINGS = {"close": close(), "half-close": end_of_stream(), "reset": reset(), "unread close": close()}


def _data(when: str, count: int, *, full: bool) -> tuple[Script, Script]:
    """Return how the actor sends before it ends, and what the peer reads before."""
    if when == "during":
        return (fill() if full else send(count),), ()
    if when == "after":
        return (send(count), wait("read")), (read(count), tell("read"))
    return (), ()


def _found(reader: str, *, hidden: bool) -> Script:
    """Return how the peer learns of the ending before it reads. *hidden*: the ending is queued behind unread bytes."""
    if reader == "live":
        return ()
    return (wait("ended"),) if hidden else (await_ending(),)


def _half_close(count: int, reader: str, found: Script, *, full: bool) -> tuple[Script, Script]:
    """Return how the actor half-closes and how it is answered."""
    stalled: Script = (wait("answered"),) if reader == "stalled" else ()
    actor = (end_of_stream(), tell("ended"), *stalled, read_to_end())
    return actor, (*found, read_to_end(), fill() if full else send(count), close(), tell("answered"))


def _amount(ending: str, when: str, size: str, *, full: bool) -> Amount:
    if ending in {"reset", "unread close"} and when == "during" and size == "bulk":
        return Amount.ACKNOWLEDGED
    return Amount.ALL if full else Amount.EXACT
