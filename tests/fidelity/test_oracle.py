"""The oracle itself: it finds the faults that relays are known for, and excuses nothing else."""

from __future__ import annotations

import dataclasses

import pytest
from oracle.catalogue import SCENARIOS
from oracle.performance import direct_runs, judged, performing
from oracle.relays import PEERS
from oracle.scenario import Amount, Scenario
from oracle.trace import END, READ, RECEIVED, Event, Outcome, Trace, digest_of

_PEERS = {peer.name: peer for peer in PEERS}
_KNOWN = {
    # scenario: what whom does wrong; an empty reason where the relay is right
    "asyncio streams": {
        "half-close during data, small, live reader, by client": "client: bytes lost",
        "reset after data, small, live reader, by server": "client: end for reset",
        "odd sizes in turns, by client": "",
    },
    "nginx": {
        "half-close during data, small, live reader, by client": "client: bytes lost",
        "close during data, bulk, stalled reader, by client": "",
    },
    "socat": {
        "answer 2 s after a half-close, by client": "client: heard something too early for nothing for 2 s",
        "half-close during data, small, live reader, by client": "",
    },
    "HAProxy": {
        "reset after data, small, live reader, by server": "client: end for reset",
        "reset after data, small, live reader, by client": "",
    },
}


@pytest.mark.parametrize("peer", _KNOWN)
def test_the_faults_of_known_relays_are_found(peer: str) -> None:
    """A relay that breaks a scenario in a known way is said to break it in that way, and only where it does."""
    if not _PEERS[peer].version():
        pytest.skip(f"no {peer} here")
    scenarios = [SCENARIOS[name] for name in _KNOWN[peer]]

    with performing(_PEERS[peer], scenarios) as outcomes:
        found = {
            name: judged(SCENARIOS[name], direct_runs(SCENARIOS[name], most=1), seen.result())
            for name, seen in outcomes.items()
        }

    assert {name: reasons[0] if reasons else "" for name, reasons in found.items()} == _KNOWN[peer]


def _outcome(*events: Event, sent: int = 1000, acknowledged: int = 0) -> Outcome:
    """Return what a server saw of a client that sent so many bytes."""
    return Outcome(Trace((), sent, acknowledged), Trace(events, 0, 0))


def _received(count: int, kind: str = RECEIVED) -> Event:
    return Event(kind, count, digest_of("client", count))


def _scenario(amount: Amount) -> Scenario:
    return Scenario("made up", (), (), amount=amount)


_RESET = Event("reset: ECONNRESET")
_DIRECT = _outcome(_received(1000), Event(END))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (_outcome(_received(1000), Event(END)), []),
        (_outcome(_received(999), Event(END)), ["server: bytes lost"]),
        (_outcome(_received(1001), Event(END)), ["server: corrupted"]),
        (_outcome(Event(RECEIVED, 1000, "0" * 64), Event(END)), ["server: corrupted"]),
        (_outcome(_received(1000), _RESET), ["server: reset for end"]),
        (_outcome(_received(1000), Event("silence")), ["server: silence for end"]),
        (_outcome(_received(1000), Event(END), Event("refused: EPIPE")), ["server: EPIPE for nothing"]),
        (_outcome(_received(1000)), ["server: script cut short"]),
        (_outcome(_received(1000, READ), Event(END)), ["server: read for received"]),
    ],
)
def test_every_difference_is_named(seen: Outcome, reason: list[str]) -> None:
    """Missing, foreign and additional bytes, another ending, more or fewer events are each a difference."""
    assert judged(_scenario(Amount.EXACT), [_DIRECT], seen) == reason


@pytest.mark.parametrize(
    ("amount", "count", "passes"),
    [
        (Amount.EXACT, 700, True),
        (Amount.EXACT, 900, False),
        (Amount.ALL, 1000, True),
        (Amount.ALL, 999, False),
        (Amount.ACKNOWLEDGED, 600, True),
        (Amount.ACKNOWLEDGED, 900, True),
        (Amount.ACKNOWLEDGED, 599, False),
        (Amount.SOME, 0, True),
        (Amount.SOME, 1001, False),
    ],
)
def test_only_the_length_of_a_cut_stream_is_excused(amount: Amount, count: int, *, passes: bool) -> None:
    """What a scenario excuses is how many bytes came before the reset, within its own bounds, and nothing else."""
    direct = _outcome(_received(700), _RESET, acknowledged=600)
    seen = _outcome(_received(count), _RESET, acknowledged=600)
    orderly = dataclasses.replace(seen, server=Trace((_received(count), Event(END)), 0, 0))

    assert (judged(_scenario(amount), [direct], seen) == []) is passes
    assert judged(_scenario(amount), [direct], orderly) != []


def test_a_relay_needs_to_equal_one_direct_run_only() -> None:
    """Where direct runs differ, a relay that does as one of them did passes, and one that does as none fails."""
    runs = [_outcome(_received(1000), Event(END)), _outcome(_received(1000), _RESET)]

    assert judged(_scenario(Amount.EXACT), runs, runs[1]) == []
    assert judged(_scenario(Amount.EXACT), runs, _outcome(_received(1000), Event("silence"))) != []
