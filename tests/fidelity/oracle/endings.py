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
    unseen = when == "during" and full  # the ending is queued behind bytes that nobody reads
    seen = _seen(reader, unseen=unseen, provoking=send_until_refused(count) if when == "before" else None)
    acted: Script = (tell("ended"),)
    if ending == "half-close":
        question = (wait("ended"), read_to_end()) if unseen else (read_to_end(),)
        if reader == "stalled" and not unseen:
            question = (await_ending(), read_to_end())
        answer = (fill() if full else send(count), close(), tell("answered"))
        actor = (*begun, end_of_stream(), *acted, *((wait("answered"),) if reader == "stalled" else ()), read_to_end())
        peer = (*watching, *question, *answer)
    elif ending == "unread close":
        unread = fill() if when == "before" and full else send(SMALL if when != "before" else min(count, 100_003))
        actor = (await_bytes(), wait("unread sent"), *begun, close(), *acted)
        peer = (unread, tell("unread sent"), *watching, *seen)
    else:
        actor = (*begun, _ENDINGS[ending], *acted)
        peer = (*watching, *seen)
    amount = _amount(ending, when, size, full=full)
    name = f"{ending} {when} data, {size}, {reader} reader"
    return both_ways(name, actor, peer, amount=amount, narrow=full)


_ENDINGS = {"close": close(), "half-close": end_of_stream(), "reset": reset(), "unread close": close()}


def _data(when: str, count: int, *, full: bool) -> tuple[Script, Script]:
    """Return how the actor sends before it ends, and what the peer reads before."""
    if when == "during":
        return (fill() if full else send(count),), ()
    if when == "after":
        return (send(count), wait("read")), (read(count), tell("read"))
    return (), ()


def _seen(reader: str, *, unseen: bool, provoking: object) -> Script:
    """Return how the peer finds the ending; *provoking*: it also sends to the actor that is gone."""
    provoked: Script = (provoking,) if provoking else ()  # type: ignore[assignment]
    if reader == "live":
        return (read_to_end(), *provoked)
    return (wait("ended") if unseen else await_ending(), *provoked, read_to_end())


def _amount(ending: str, when: str, size: str, *, full: bool) -> Amount:
    if ending in {"reset", "unread close"} and when == "during" and size == "bulk":
        return Amount.ACKNOWLEDGED
    return Amount.ALL if full else Amount.EXACT
