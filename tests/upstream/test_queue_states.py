"""Whatever dials do and in which order, the queue keeps its bounds and loses nobody."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ambassador.net.deadlines import TICK, Deadlines
from ambassador.upstream import queue as queue_module
from ambassador.upstream.queue import DialQueue
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(400)  # hypothesis makes what it finds short, for five minutes at most

_MOST = 3
_WOKEN_AT_ONCE = 2
_HANGS_AFTER = 0.5
_LONGEST_REST = 1.0
# What looks for dials that hang looks this often.
_LOOKS_EVERY = _HANGS_AFTER / 4
# Sums of the clock's times are not exact.
_ROUNDING = 1e-6


class Outcome(Enum):
    """What comes of a round on the spot."""

    PENDING = "pending"
    NOBODY = "nobody"  # it goes to rest
    FAILED = "failed"  # it is over
    REPLACED = "replaced"  # it is over, and its end makes room for another client, who comes at once
    CUTS = "cuts"  # it is over, and its end is that of the oldest dial, too


class ModelDial:
    """A dial as the queue sees it, that does what the test says."""

    def __init__(self, machine: QueueMachine, deadline: float, outcomes: list[Outcome]) -> None:
        self.machine = machine
        self.number = len(machine.dials)
        self.deadline = deadline
        self.outcomes = outcomes
        self.over = False
        self.holds_slot = self.client_ended = self.client_silent = False
        self.rounds = 0
        self.started = 0.0

    def __repr__(self) -> str:
        """Be told apart in what hypothesis prints."""
        return f"dial {self.number}"

    def start_round(self) -> None:
        """Do the next of its outcomes."""
        assert self.holds_slot
        assert not self.over
        assert self.machine.young() <= _MOST, "more are under way than may be"
        if not self.rounds:
            assert not any(dial.number < self.number for dial in self.machine.waiting() if not dial.rounds)
        self.rounds += 1
        self.started = self.machine.clock.time()
        self.machine.deadlines.set(self, self.step_deadline())
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome.PENDING
        if outcome is Outcome.NOBODY:
            self.rest()
        elif outcome is not Outcome.PENDING:
            self.end()
            if outcome is Outcome.REPLACED:
                self.machine.arrive(1.0, [])
            elif outcome is Outcome.CUTS and (oldest := self.machine.live()):
                oldest[0].end()

    def step_deadline(self) -> float:
        """Return the deadline of the step that it is at, while it is under way."""
        return (self.started + self.deadline) / 2

    def rest(self) -> None:
        """Go to rest."""
        self.machine.queue.back_off(self)

    def end(self) -> None:
        """Be over."""
        self.over = True
        self.machine.queue.leave(self)

    def expire(self) -> None:
        """Fail when it waits or rests; rest when a step took too long. Have more time where all was stopped."""
        now = self.machine.clock.time()
        if self.machine.deadlines.slept and not self.holds_slot:
            self.deadline = now + 2.0
            self.machine.queue.enter_again(self)
            return
        if not self.holds_slot and not self.machine.deadlines.slept:
            assert self.deadline - _ROUNDING <= now <= self.deadline + TICK + _ROUNDING
        if self.holds_slot and now < self.deadline:
            self.rest()
        else:
            self.end()


class QueueMachine(RuleBasedStateMachine):
    """Dials that come, rest, get through and go while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(queue_module, "MAX_DIALS", _MOST)
        self.patch.setattr(queue_module, "_WOKEN_AT_ONCE", _WOKEN_AT_ONCE)
        self.clock = FakeClock()
        self.deadlines = Deadlines(self.clock)
        self.queue = DialQueue(self.clock, self.deadlines)
        self.dials: list[ModelDial] = []

    def live(self, which: Callable[[ModelDial], bool] = lambda _: True) -> list[ModelDial]:
        """Return the dials that are not over and are such."""
        return [dial for dial in self.dials if not dial.over and which(dial)]

    def under_way(self) -> list[ModelDial]:
        """Return those that hold a slot."""
        return self.live(lambda dial: dial.holds_slot)

    def waiting(self) -> list[ModelDial]:
        """Return those that wait for a slot, in their order."""
        return [dial for dial in self.queue._waiting if isinstance(dial, ModelDial) and not dial.over]

    def resting(self) -> list[ModelDial]:
        """Return those that rest, in their order."""
        return [dial for dial in self.queue._resting if isinstance(dial, ModelDial)]

    def young(self) -> int:
        """Count the dials under way that cannot have been found to hang yet."""
        now = self.clock.time()
        return len(self.live(lambda dial: dial.holds_slot and now - dial.started < _HANGS_AFTER - _ROUNDING))

    def arrive(self, patience: float, outcomes: list[Outcome]) -> None:
        """Have a new dial enter."""
        dial = ModelDial(self, self.clock.time() + patience, outcomes)
        self.dials.append(dial)
        self.queue.enter(dial)

    @rule(patience=st.sampled_from([0.3, 2.0, 30.0]), outcomes=st.lists(st.sampled_from(Outcome), max_size=4))
    def enter(self, patience: float, outcomes: list[Outcome]) -> None:
        """A client comes."""
        self.arrive(patience, outcomes)

    @rule(count=st.integers(4, 10))
    def crowd(self, count: int) -> None:
        """Many come at once, and are patient."""
        for _ in range(count):
            self.arrive(30.0, [])

    @precondition(lambda self: self.under_way())
    @rule(data=st.data())
    def back_off(self, data: st.DataObject) -> None:
        """A round finds nobody."""
        data.draw(st.sampled_from(self.under_way())).rest()

    @precondition(lambda self: self.under_way())
    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        """A dial gets through, and those that rest have their turn at once."""
        data.draw(st.sampled_from(self.under_way())).end()
        self.queue.answered()
        self.moves_on(self.resting()[:_WOKEN_AT_ONCE], after=0.01)

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A client goes, or has bad news."""
        data.draw(st.sampled_from(self.live())).end()

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def end_stream(self, data: st.DataObject) -> None:
        """A client's stream ends."""
        dial = data.draw(st.sampled_from(self.live()))
        dial.client_ended = True
        dial.client_silent = data.draw(st.booleans())
        self.queue.set_aside(dial)
        assert dial not in self.resting()

    @rule()
    def sleep(self) -> None:
        """The process is stopped for a while."""
        self.clock.freeze(3.0)

    @rule(seconds=st.sampled_from([0.004, 0.02, 0.06, 0.13, 0.5]))
    def wait(self, seconds: float) -> None:
        """A little time passes."""
        self.clock.advance(seconds)

    @precondition(lambda self: self.resting())
    @rule()
    def wait_for_a_rest(self) -> None:
        """The dial that has rested longest has its turn within a second."""
        self.moves_on(self.resting()[:1], after=_LONGEST_REST)

    @precondition(lambda self: self.waiting())
    @rule()
    def wait_for_a_slot(self) -> None:
        """All that wait are let in, in groups, as soon as those before them hang."""
        waiting = self.waiting()
        rounds = [dial.rounds for dial in waiting]
        self.clock.advance(-(-len(waiting) // _MOST) * (_HANGS_AFTER + _LOOKS_EVERY) + _ROUNDING)
        assert all(dial.over or dial.rounds > before for dial, before in zip(waiting, rounds, strict=True))

    def moves_on(self, resting: list[ModelDial], *, after: float) -> None:
        """Let time pass, and see that these rest no longer: each is over, waits for a slot or had another round."""
        rounds = [dial.rounds for dial in resting]
        self.clock.advance(after + _ROUNDING)
        for dial, before in zip(resting, rounds, strict=True):
            assert dial.over or dial.rounds > before or dial in self.waiting()

    @invariant()
    def counts_agree(self) -> None:
        """The queue counts the dials that are not over, and gives no more slots than there are."""
        assert len(self.queue) == len(self.live())
        assert self.young() <= _MOST

    @invariant()
    def nobody_waits_beside_a_free_slot(self) -> None:
        """A dial waits only while all slots are taken, and rests only while a wake-up is due."""
        assert not self.waiting() or len(self.queue._slots) == _MOST
        rests = bool(self.queue._resting or self.queue._resting_ended or self.queue._resting_silent)
        assert not rests or self.queue._wake_timer in self.clock.timers

    @invariant()
    def a_dial_is_in_one_place(self) -> None:
        """A dial is under way, waits, rests or rests behind the others; few that did that are let in at once."""
        queue = self.queue
        places = [*self.under_way(), *self.waiting(), *queue._resting, *queue._resting_ended, *queue._resting_silent]
        assert sorted(map(id, places)) == sorted(map(id, self.live()))
        assert len(queue._ended) <= 2
        assert queue._ended.issubset([*self.under_way(), *self.waiting()])

    @invariant()
    def deadlines_stand(self) -> None:
        """Who waits or rests has its own deadline, who is under way that of its step, and who is over none."""
        assert self.deadlines._when == {
            dial: dial.step_deadline() if dial.holds_slot else dial.deadline for dial in self.live()
        }

    def teardown(self) -> None:
        """In the end every dial has had its answer, and nothing ticks."""
        try:
            self.clock.advance(60)
            assert self.live() == []
            queue = self.queue
            left = [queue._slots, queue._waiting, queue._resting, queue._resting_ended, queue._resting_silent]
            assert [len(place) for place in (*left, queue._ended)] == [0] * 6
            assert self.clock.timers == []
        finally:
            self.patch.undo()


test_dials_in_any_order = QueueMachine.TestCase
QueueMachine.TestCase.settings = hypothesis.settings(max_examples=50, stateful_step_count=40)
