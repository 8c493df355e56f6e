"""Whatever happens in whatever order: limits hold, nothing is lost, nothing starves."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from posthouse.message.instant import Instant
from posthouse.mta.planner import Job, Part, Rest, Slot, SlotState, Verb
from posthouse.mta.targets import SiteKey
from tests.mta.planner_kit import NOW, make_job, make_planner

SITES = [SiteKey("mx:a"), SiteKey("mx:b"), SiteKey("mx:c"), SiteKey("maildir:/m")]
FLOWS = ["ann", "bob", "news"]


class PlannerMachine(RuleBasedStateMachine):
    """Plays the runner, and keeps its own account of who holds what."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.slots: list[Slot] = []
        self.expected: Counter[str] = Counter()  # recipients by message that must still come out
        self.limit = 0

    @initialize(limit=st.integers(1, 12), window=st.integers(1, 6))
    def begin(self, limit: int, window: int) -> None:
        self.limit = limit
        self.planner = make_planner(proven=(), window=window, max_connections=limit, max_messages=40)

    @rule(
        site=st.sampled_from(SITES),
        flow=st.sampled_from(FLOWS),
        recipients=st.sampled_from([1, 2, 60, 180]),
        priority=st.integers(-9, 9),
        lifetime=st.sampled_from([5.0, 1e9]),
    )
    def offer(self, site: SiteKey, flow: str, recipients: int, priority: int, lifetime: float) -> None:
        job = make_job(flow, recipients, site, priority=priority, expires=Instant(self.now + lifetime))
        if self.planner.offer(job, self.now):
            self.expected[job.message.id] += recipients

    @rule()
    def plan(self) -> None:
        for verb, slot in self.planner.plan(self.now):
            if verb is Verb.OPEN:
                self.slots.append(slot)
                assert slot.queue.open <= slot.queue.site.limit()
            elif verb is Verb.CLOSE:
                self.slots.remove(slot)

    @precondition(lambda self: any(slot.state is SlotState.CALLED for slot in self.slots))
    @rule(data=st.data(), most=st.sampled_from([1, 7, 100]))
    def take(self, data: st.DataObject, most: int) -> None:
        called = [slot for slot in self.slots if slot.state is SlotState.CALLED]
        self._take(data.draw(st.sampled_from(called)), most)

    def _take(self, slot: Slot, most: int = 100) -> None:
        work = self.planner.take(slot, self.now, most)
        if isinstance(work, Part):
            assert slot.queue.open - len(slot.queue.idle) <= slot.queue.site.limit()
            assert 0 < len(work.recipients) <= most
            self.expected[work.message.id] -= len(work.recipients)
        elif work is Rest.CLOSE:
            self.slots.remove(slot)

    @precondition(lambda self: any(slot.part for slot in self.slots))
    @rule(data=st.data(), ok=st.booleans())
    def finish(self, data: st.DataObject, ok: bool) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.slots if slot.part]))
        self.planner.finished(slot, self.now, ok)
        self._take(slot)

    @precondition(lambda self: bool(self.slots))
    @rule(data=st.data(), blame=st.booleans())
    def lose(self, data: st.DataObject, blame: bool) -> None:
        slot = data.draw(st.sampled_from(self.slots))
        self.slots.remove(slot)
        if blame:
            self._give_up(self.planner.failed(slot, self.now, "lost"))
        else:
            self.planner.closed(slot)

    @rule(site=st.sampled_from(SITES))
    def suspend(self, site: SiteKey) -> None:
        self._give_up(self.planner.suspend(site, Instant(self.now + 30), "421"))

    @rule(site=st.sampled_from(SITES))
    def slow_down(self, site: SiteKey) -> None:
        self.planner.slow_down(site, self.now, messages_per_minute=60, duration_s=20)

    @rule()
    def withdraw(self) -> None:
        for queue_id in list(self.planner.active._active)[:1]:
            self._give_up(self.planner.withdraw(queue_id))

    @rule()
    def expire(self) -> None:
        self._give_up(self.planner.expired(self.now))

    @rule(seconds=st.sampled_from([0.5, 4.0, 61.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)

    def _give_up(self, jobs: list[Job]) -> None:
        for job in jobs:
            assert job.recipients
            self.expected[job.message.id] -= len(job.recipients)

    @invariant()
    def windows_and_limits_hold(self) -> None:
        busy = Counter(slot.site for slot in self.slots if slot.state is not SlotState.IDLE)
        opened = Counter(slot.site for slot in self.slots)
        for site, queue in self.planner._queues.items():
            assert queue.open == opened[site]
            assert queue.called == sum(s.state is SlotState.CALLED for s in self.slots if s.site == site)
            assert queue.working == sum(s.works for s in self.slots if s.site == site)
            assert busy[site] <= 20
        remote = [slot for slot in self.slots if slot.site != SITES[3]]
        assert self.planner.connections == len(remote) <= self.limit

    @invariant()
    def accounts_agree(self) -> None:
        waiting = Counter({key: left for key, left in self.expected.items() if left})
        in_memory: Counter[str] = Counter()
        for active in self.planner.active._active.values():
            for job in active.jobs:
                if job.sent < len(job.recipients):
                    in_memory[job.message.id] += len(job.recipients) - job.sent
        assert waiting == in_memory
        in_hand = {slot.part.message.id for slot in self.slots if slot.part}
        assert set(self.planner.active._active) == set(waiting) | in_hand
        assert self.planner.count_waiting() == len(waiting)

    def teardown(self) -> None:
        """Nothing starves: with time and working sites everything that is left goes out."""
        if not self.limit:
            return
        for _ in range(3000):
            if not self.planner.active.messages:
                return
            for slot in list(self.slots):
                if slot.part:
                    self.planner.finished(slot, self.now)
                    self._take(slot)
                elif slot.state is SlotState.CALLED:
                    self._take(slot)
            self.plan()
            self.now = Instant(self.now + 1)
        raise AssertionError(f"{self.planner.active.messages} messages starved")


PlannerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestPlanner = PlannerMachine.TestCase
