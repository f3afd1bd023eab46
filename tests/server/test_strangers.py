"""Strangers' work: last in a turn, a share of it, and with rests while others are at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ambassador.server.strangers import Strangers
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """The poller as strangers see it, and the turns of its loop, by a clock of the test's."""

    def __init__(self) -> None:
        self.loop = FakeClock()
        self.served = 0
        self.last: Callable[[], None] | None = None
        self.faults: list[Exception] = []
        self.done: list[str] = []
        self.strangers = Strangers(self, enough=5, clock=self.loop.time)  # type: ignore[arg-type]  # see above

    def call_last(self, work: Callable[[], None]) -> None:
        """Be asked for a turn."""
        self.last = work

    def report(self, error: Exception) -> None:
        """Be told of a fault."""
        self.faults.append(error)

    def turn(self, *, events: int = 0) -> list[str]:
        """Turn once, with so many events of others; return what strangers did."""
        self.done.clear()
        self.served += events
        self.loop.advance(0.0001 * (1 + events))
        work, self.last = self.last, None
        if work is not None:
            work()
        return list(self.done)

    def turns(self, count: int, *, events: int = 0) -> tuple[int, float]:
        """Turn so many times; return in how many of them strangers did something, and the share of time they took."""
        begun, taken, busy = self.loop.time(), 0.0, 0
        for _ in range(count):
            before = self.loop.time() + 0.0001 * (1 + events)
            busy += bool(self.turn(events=events))
            taken += max(0.0, self.loop.time() - before)
        return busy, taken / (self.loop.time() - begun)


class Stranger:
    """Somebody whose steps take some time, and who has always another one to do."""

    def __init__(self, turns: Turns, name: str, seconds: float, *, network: bytes = b"n", steps: int = 10**9) -> None:
        self.turns = turns
        self.name = name
        self.seconds = seconds
        self.network = network
        self.steps = steps

    def step(self) -> None:
        """Take a while."""
        self.turns.done.append(self.name)
        self.turns.loop.advance(self.seconds)
        self.steps -= 1
        if self.steps > 0:
            self.turns.strangers.add(self)


class Queue:
    """A listener for whom somebody always waits."""

    def __init__(self, turns: Turns, name: str, seconds: float) -> None:
        self.turns = turns
        self.name = name
        self.seconds = seconds

    def accept_some(self, until: float) -> bool:
        """Accept for as long as is allowed."""
        while True:
            self.turns.done.append(self.name)
            self.turns.loop.advance(self.seconds)
            if self.turns.loop.time() >= until:
                return True


def crowd(turns: Turns, count: int, seconds: float) -> None:
    """Have many strangers come who never have enough."""
    for number in range(count):
        turns.strangers.add(Stranger(turns, str(number), seconds))


@pytest.mark.parametrize(("seconds", "steps"), [(0.00001, 101), (0.0003, 4), (0.0008, 2), (0.003, 1), (0.5, 1)])
def test_a_turn_is_a_millisecond_of_steps_or_one_that_is_longer(seconds: float, steps: int) -> None:
    """Of many strangers with work only so many have a step in a turn as take a millisecond, and one at least."""
    turns = Turns()
    crowd(turns, 200, seconds)
    assert len(turns.turn()) in {steps - 1, steps}


def test_accepting_has_a_millisecond_of_its_own() -> None:
    """A crowd in the accept queue does not keep those who are in from their steps, nor longer from anybody else."""
    turns = Turns()
    turns.strangers.accept(Queue(turns, "accept", 0.0002))
    turns.strangers.add(Stranger(turns, "step", 0.0002))
    done = turns.turn()
    assert done.count("accept") in {5, 6}
    assert done.count("step") in {5, 6}


def test_two_listeners_take_turns() -> None:
    """Who waits at one listener is not starved by the crowd at another."""
    turns = Turns()
    for name in "one", "other":
        turns.strangers.accept(Queue(turns, name, 0.0015))
    assert [turns.turn() for _ in range(4)] == [["one"], ["other"], ["one"], ["other"]]


def test_nobody_is_let_in_to_a_crowd_that_has_work_already() -> None:
    """While as many as are enough wait for their steps, newcomers stay in the accept queue."""
    turns = Turns()
    turns.strangers.accept(Queue(turns, "accept", 0.002))
    for number in range(5):
        turns.strangers.add(Stranger(turns, str(number), 0.002, steps=1))
    assert [turns.turn() for _ in range(2)] == [["0"], ["accept", "1"]]


def test_networks_take_turns() -> None:
    """The many of one network have, all together, as many steps as the one of another."""
    turns = Turns()
    crowd(turns, 100, 0.0002)
    turns.strangers.add(Stranger(turns, "alone", 0.0002, network=b"another"))
    done = [name for _ in range(10) for name in turns.turn()]
    assert abs(2 * done.count("alone") - len(done)) <= 1


def test_others_at_work_have_two_thirds_of_the_time() -> None:
    """Strangers rest twice as long as they work while others have something to do in each turn."""
    turns = Turns()
    crowd(turns, 10, 0.0005)
    _, share = turns.turns(1000, events=3)
    assert share < 0.36


def test_short_work_goes_on_when_nobody_else_has_any() -> None:
    """With nothing else to do, strangers work in each turn."""
    turns = Turns()
    crowd(turns, 10, 0.0005)
    assert turns.turns(100)[0] == 100


def test_a_rest_after_a_long_step_is_not_cut_short_by_a_moment_of_silence() -> None:
    """A relay whose server thinks for a moment does not meet the next step of 10 ms; a timer ends the rest."""
    turns = Turns()
    crowd(turns, 10, 0.010)
    assert turns.turn(events=1)
    assert turns.turn(events=1) == []
    assert [turns.turn() for _ in range(5)] == [[]] * 5
    (timer,) = turns.loop.timers
    assert 0.015 < timer.due - turns.loop.time() < 0.020
    turns.loop.advance(0.020)
    assert turns.turn()


def test_long_steps_need_no_rest_when_nobody_else_is_there() -> None:
    """Where no relay had an event since the last step, handshakes with heavy certificates are as fast as ever."""
    turns = Turns()
    crowd(turns, 10, 0.010)
    assert turns.turns(20)[0] == 20


def test_nobody_new_ends_a_rest() -> None:
    """Work that comes while strangers rest waits with the others."""
    turns = Turns()
    crowd(turns, 2, 0.010)
    turns.turn(events=1)
    turns.turn(events=1)
    turns.strangers.add(Stranger(turns, "new", 0.010))
    assert turns.last is None


def test_a_step_that_fails_costs_no_other_its_own() -> None:
    """A fault in one stranger's step is reported, and the next has its step in the same turn."""
    turns = Turns()
    fault = ValueError("ours")

    class Faulty(Stranger):
        def step(self) -> None:
            raise fault

    turns.strangers.add(Faulty(turns, "faulty", 0))
    turns.strangers.add(Stranger(turns, "next", 0.002))
    assert turns.turn() == ["next"]
    assert turns.faults == [fault]
