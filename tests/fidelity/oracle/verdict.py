"""Compare what was seen through a relay with what is seen directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracle.scenario import Amount
from oracle.trace import END, READ, RECEIVED, SILENCE, Event, Outcome, Trace, digest_of

if TYPE_CHECKING:
    from oracle.scenario import Scenario


def differences(scenario: Scenario, direct: Outcome, seen: Outcome) -> list[str]:
    """Say in a few words each how *seen* differs from *direct*; empty where no application could tell."""
    pairs = (("client", seen.client, seen.server), ("server", seen.server, seen.client))
    wrong_bytes = [said for end, trace, other in pairs if (said := _wrong_bytes(end, trace, other, scenario))]
    if wrong_bytes:
        return wrong_bytes
    if scenario.allowed:
        kinds = tuple(tuple(event.kind for event in trace.events) for trace in (seen.client, seen.server))
        return [] if kinds in scenario.allowed else [_unforeseen(seen)]
    both = (("client", direct.client, seen.client), ("server", direct.server, seen.server))
    found = [text for end, expected, got in both if (text := _first_difference(end, expected, got, scenario))]
    return sorted(
        found, key=lambda text: text.endswith("for nothing") or "in vain" in text
    )  # causes before consequences


def _wrong_bytes(end: str, trace: Trace, other: Trace, scenario: Scenario) -> str:
    """Judge what does not depend on a direct run: a true prefix of what the other end sent, and how much of it."""
    sender = "server" if end == "client" else "client"
    for event in trace.events:
        if event.digest and (event.count > other.sent or event.digest != digest_of(sender, event.count)):
            return f"{end}: corrupted"
        if event.kind == RECEIVED and event.count < _least(other, scenario):
            return f"{end}: bytes lost"
    return ""


def _least(sender: Trace, scenario: Scenario) -> int:
    if scenario.amount is Amount.ACKNOWLEDGED:
        return sender.acknowledged
    return sender.sent if scenario.amount is Amount.ALL else 0


def _first_difference(end: str, expected: Trace, got: Trace, scenario: Scenario) -> str:
    for want, have in zip(expected.events, got.events, strict=False):
        if want.kind != have.kind:
            return f"{end}: {_name(have)} for {_name(want)}"
        if want.digest and want != have and (want.kind == READ or scenario.amount is Amount.EXACT):
            return f"{end}: bytes lost" if have.count < want.count else f"{end}: bytes too many"
    if len(got.events) > len(expected.events):
        return f"{end}: {_name(got.events[len(expected.events)])} for nothing"
    return f"{end}: script cut short" if len(got.events) < len(expected.events) else ""


def _unforeseen(seen: Outcome) -> str:
    return f"client: {_last(seen.client)}, server: {_last(seen.server)}"


def _last(trace: Trace) -> str:
    return _name(trace.events[-1]) if trace.events else "nothing"


def _name(event: Event) -> str:
    if event.kind == END:
        return "end"
    if event.kind.startswith("reset"):
        return "reset"
    if event.kind.startswith(SILENCE):
        return "silence"
    return event.kind.removeprefix("refused: ")
