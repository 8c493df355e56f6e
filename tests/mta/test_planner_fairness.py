"""A mailing does not hold up a single message that comes after it: shown with a simulated clock.

One site, 20 connections, each transaction takes one second whatever its size. The single message arrives when the
mailing has been under way for 30 seconds. Compared: our planner, a plain FIFO, and a model of the job scheduler of
Postfix's queue manager (slot-credit preemption, README SCHEDULER_README of Postfix: delivery_slot_cost 5,
delivery_slot_loan 3, delivery_slot_discount 50, minimum_delivery_slots 3).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mta.planner import Job, Part, Planner, Slot, Verb
from posthouse.mta.planner_turns import Turns
from tests.mta.planner_kit import SITE, at, drain, make_job, make_planner, must_take

CONNECTIONS = 20
PER_TRANSACTION = 50
ARRIVAL_S = 30
SINGLE = "boss"


class Scheduler(Protocol):
    def offer(self, job: Job, second: float) -> None: ...

    def next_transaction(self, second: float) -> Job | None: ...


class Ours:
    """The planner, with its connections kept open."""

    def __init__(self) -> None:
        self.planner: Planner = make_planner(window=CONNECTIONS)
        self.free: deque[Slot] = deque()
        self.busy: deque[Slot] = deque()

    def offer(self, job: Job, second: float) -> None:
        assert self.planner.offer(job, at(second))

    def next_transaction(self, second: float) -> Job | None:
        """A connection whose transaction is over is the oldest busy one: all take the same time."""
        self.free += [action.slot for action in self.planner.plan(at(second)) if action.verb is not Verb.CLOSE]
        if not self.free and len(self.busy) == CONNECTIONS:
            slot = self.busy.popleft()
            self.planner.finished(slot, at(second))
            self.free.append(slot)
        if not self.free:
            return None
        slot = self.free.popleft()
        part = self.planner.take(slot, at(second), PER_TRANSACTION)
        assert isinstance(part, Part)
        self.busy.append(slot)
        return part.job


@dataclass
class Fifo:
    """Messages in order of arrival, each with all its transactions."""

    jobs: deque[tuple[Job, int]] = field(default_factory=deque)

    def offer(self, job: Job, second: float) -> None:
        self.jobs.append((job, -(-len(job.recipients) // PER_TRANSACTION)))

    def next_transaction(self, second: float) -> Job | None:
        if not self.jobs:
            return None
        job, left = self.jobs.popleft()
        if left > 1:
            self.jobs.appendleft((job, left - 1))
        return job


@dataclass
class PostfixJob:
    job: Job
    entries: int  # transactions left
    arrived: float
    slots: float = 0.0  # earned and not yet used


@dataclass
class PostfixLike:
    """The current job earns a slot per 5 transactions; a smaller one goes first when its slots suffice for it."""

    jobs: list[PostfixJob] = field(default_factory=list)  # the first is the current one
    cost: int = 5
    loan: int = 3
    discount: float = 0.5
    minimum: int = 3

    def offer(self, job: Job, second: float) -> None:
        self.jobs.append(PostfixJob(job, -(-len(job.recipients) // PER_TRANSACTION), second))

    def next_transaction(self, second: float) -> Job | None:
        if not self.jobs:
            return None
        self._preempt(second)
        current = self.jobs[0]
        current.entries -= 1
        current.slots += 1 / self.cost
        if not current.entries:
            self.jobs.pop(0)
        return current.job

    def _preempt(self, second: float) -> None:
        current = self.jobs[0]
        if (current.entries + current.slots * self.cost) / self.cost < self.minimum:
            return
        limit = (current.slots + self.loan) / self.discount
        candidates = [job for job in self.jobs[1:200] if job.entries <= limit and job.entries < current.entries]
        if candidates:
            best = max(candidates, key=lambda job: (second - job.arrived + 1) / job.entries)
            current.slots -= best.entries
            self.jobs.remove(best)
            self.jobs.insert(0, best)


def delay_of_single(scheduler: Scheduler, mailing: list[Job], sender: str = SINGLE) -> float:
    """Seconds from the arrival of the single message until a connection takes it up."""
    for job in mailing:
        scheduler.offer(job, 0)
    single = make_job(sender)
    ends = [0.0] * CONNECTIONS
    is_there = False
    while True:
        second = heapq.heappop(ends)
        if second >= ARRIVAL_S and not is_there:
            scheduler.offer(single, second)
            is_there = True
        if scheduler.next_transaction(second) is single:
            return second - ARRIVAL_S
        heapq.heappush(ends, second + 1)


MAILINGS: dict[str, Callable[[], list[Job]]] = {
    "one message with 100,000 recipients": lambda: [make_job("mailing", 100_000)],
    "100 messages with 1,000 recipients": lambda: [make_job("mailing", 1000) for _ in range(100)],
    "100,000 messages": lambda: [make_job("mailing") for _ in range(100_000)],
}


@cache
def mailing_to_look_at(name: str) -> list[Job]:
    """For the models, which change no job."""
    return MAILINGS[name]()


@pytest.mark.parametrize("mailing", MAILINGS)
def test_a_mailing_of_100000_does_not_hold_up_a_single_message(mailing: str) -> None:
    assert delay_of_single(Ours(), MAILINGS[mailing]()) <= 1


def test_without_a_mailing_a_single_message_goes_at_once() -> None:
    assert delay_of_single(Ours(), []) == 0


def test_a_fifo_holds_it_up_until_the_mailing_is_over() -> None:
    assert delay_of_single(Fifo(), mailing_to_look_at("one message with 100,000 recipients")) > 60
    assert delay_of_single(Fifo(), mailing_to_look_at("100,000 messages")) > 4000


def test_slot_credit_helps_against_one_large_message_and_not_against_many_small_ones() -> None:
    assert delay_of_single(PostfixLike(), mailing_to_look_at("one message with 100,000 recipients")) <= 1
    assert delay_of_single(PostfixLike(), mailing_to_look_at("100 messages with 1,000 recipients")) <= 1
    assert delay_of_single(PostfixLike(), mailing_to_look_at("100,000 messages")) > 4000


@pytest.mark.parametrize("recipients", [100_000, 1000, 1])
def test_a_senders_next_letter_overtakes_his_own_mailing(recipients: int) -> None:
    mailing = [make_job(SINGLE, recipients) for _ in range(100_000 // recipients)]
    assert delay_of_single(Ours(), mailing) <= 1


def test_the_first_of_a_senders_many_single_messages_are_not_starved_by_the_newest() -> None:
    planner = make_planner(window=1)
    first = [make_job() for _ in range(300)]
    for job in first:
        planner.offer(job, at(0))
    ((_, slot),) = planner.plan(at(0))
    taken = []
    for _ in range(600):
        planner.offer(make_job(), at(0))
        taken.append(must_take(planner, slot).job)
        planner.finished(slot, at(0))
    assert [job for job in taken if job in first] == first


def test_a_senders_few_single_messages_stay_in_their_order() -> None:
    planner = make_planner(window=1)
    jobs = [make_job() for _ in range(100)]
    for job in jobs:
        planner.offer(job, at(0))
    assert [part.job for part in drain(planner)] == jobs


def test_a_senders_single_messages_and_his_mailing_take_turns() -> None:
    singles = [make_job() for _ in range(50)]
    counts = count_kinds([*singles, make_job(recipients=5000)], 60)
    assert counts == {1: 30, 100: 30}


def count_kinds(jobs: list[Job], turns: int) -> dict[int, int]:
    """How many transactions of each number of recipients come in so many turns."""
    planner = make_planner(window=1)
    for job in jobs:
        planner.offer(job, at(0))
    ((_, slot),) = planner.plan(at(0))
    counts: dict[int, int] = {}
    for _ in range(turns):
        part = must_take(planner, slot)
        counts[len(part.recipients)] = counts.get(len(part.recipients), 0) + 1
        planner.finished(slot, at(0))
    return counts


def test_a_hundred_mailings_delay_it_by_one_turn_each() -> None:
    mailing = [make_job(f"mailing{number % 100}") for number in range(50_000)]
    assert delay_of_single(Ours(), mailing) <= 100 / CONNECTIONS + 1


def count_turns(jobs: list[Job], turns: int) -> dict[str, int]:
    """How many recipients of each flow are taken up in so many transactions."""
    planner = make_planner(window=1)
    for job in jobs:
        planner.offer(job, at(0))
    ((_, slot),) = planner.plan(at(0))
    counts: dict[str, int] = {}
    for _ in range(turns):
        part = planner.take(slot, at(0))
        assert isinstance(part, Part)
        counts[part.job.flow] = counts.get(part.job.flow, 0) + len(part.recipients)
        planner.finished(slot, at(0))
    return counts


def test_flows_share_evenly() -> None:
    counts = count_turns([make_job(f"f{number % 4}") for number in range(4000)], 400)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_a_flow_of_large_transactions_pays_for_them() -> None:
    counts = count_turns([make_job("large", 100) for _ in range(500)] + [make_job("small") for _ in range(5000)], 2400)
    assert counts["small"] > 1500
    assert counts["large"] > 10_000


def test_a_higher_priority_gets_more_turns_and_a_lower_one_still_some() -> None:
    jobs = [make_job("high", priority=3) for _ in range(1000)]
    jobs += [make_job("usual") for _ in range(1000)] + [make_job("low", priority=-9) for _ in range(1000)]
    counts = count_turns(jobs, 700)
    assert 1.7 < counts["high"] / counts["usual"] < 2.3
    assert counts["low"] >= 20


def test_the_messages_of_one_large_sender_take_turns() -> None:
    planner = make_planner(window=1)
    jobs = [make_job("mailing", 1000) for _ in range(3)]
    for job in jobs:
        planner.offer(job, at(0))
    ((_, slot),) = planner.plan(at(0))
    order = []
    for _ in range(6):
        part = planner.take(slot, at(0))
        assert isinstance(part, Part)
        order.append(part.job)
        planner.finished(slot, at(0))
    assert order == jobs * 2
    assert slot.site == SITE


class PlainTurns(Turns):
    def _skip_rounds(self) -> None:
        return None


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from([1, 60, 200]), st.sampled_from([-9, 0, 9])), min_size=1
    )
)
def test_turns_are_those_of_plain_deficit_round_robin(messages: list[tuple[str, int, int]]) -> None:
    """Rounds in which all are in debt are skipped at once: it must make no difference to the order."""
    jobs = [make_job(flow, count, priority=priority, size=2_000_000) for flow, count, priority in messages]
    quick, plain = Turns(), PlainTurns()
    for job in jobs:
        quick.add(job)
    for flow, count, priority in messages:
        plain.add(make_job(flow, count, priority=priority, size=2_000_000))
    while quick.jobs:
        one, other = quick.hand_out(50), plain.hand_out(50)
        assert (one.job.flow, one.job.priority) == (other.job.flow, other.job.priority)
        assert len(one.recipients) == len(other.recipients)
