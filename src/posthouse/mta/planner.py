"""The queue planner: which message goes next, over which connection, of what is in memory.

Pure and incremental: no task, no clock, no I/O; a runner offers jobs, asks for a plan and performs it. Nothing
here is durable. A job that is refused or dropped loses nothing, because its rows in the spool already hold the
time of their next attempt; after a crash the spool offers everything again.

Whose turn it is at a site is told in mta/planner_turns; who may be in memory in mta/planner_active.

Connections are `Slot`s. A site may have as many as its window says, all sites together `max_connections`. When
those run out, sites that have none wait in a line, idle connections of others are closed, and busy ones give
way after ten more transactions.

What it does not do: decide when a message is due (mta/schedule), what a site's window is (mta/sites).
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.mta.planner_active import ActiveSet
from posthouse.mta.planner_turns import MANY, Job, Part, Turns, flow_of
from posthouse.mta.schedule import NEVER
from posthouse.mta.sites import Site, Sites
from posthouse.mta.targets import STORE_SITE, AccountBox, Destination, MaildirBox, SiteKey

__all__ = ["Action", "Job", "Part", "Planner", "PlannerSettings", "Rest", "Slot", "SlotState", "Verb", "flow_of"]

_YIELD_AFTER = 10  # transactions of a site until it gives a connection to a site that has none
_SLOW_STOCK_S = 300  # of a slowed-down site no more is kept in memory than it takes in this time
_MIN_STOCK = 20
_DISK_WINDOW = 64.0  # deliveries to the store or to Maildirs at one time: they share their disk syncs
_NEWCOMERS = 3  # a mailing that fills its site's part must not keep others out of it


class SlotState(enum.Enum):
    CALLED = enum.auto()  # the runner was told to open or use it and has not asked for work yet
    BUSY = enum.auto()
    IDLE = enum.auto()
    CLOSED = enum.auto()


class Slot:
    """A connection, as the planner sees it. `destination` is that of the job it is opened for."""

    __slots__ = ("destination", "idle_since", "part", "queue", "state", "works")

    def __init__(self, queue: _SiteQueue) -> None:
        self.queue = queue
        self.destination = queue.destination
        self.state = SlotState.CALLED
        self.part: Part | None = None  # in hand
        self.works = False  # it was connected
        self.idle_since = Instant(0.0)

    @property
    def site(self) -> SiteKey:
        return self.queue.site.key


class Rest(enum.Enum):
    """No work for a connection: keep it (until called, or told to close it), or close it now."""

    IDLE = enum.auto()
    CLOSE = enum.auto()


class Verb(enum.Enum):
    OPEN = enum.auto()  # connect and take; or take first, so that a failure to connect has a message to show for it
    USE = enum.auto()  # an idle slot: take
    CLOSE = enum.auto()  # an idle slot: close the connection; the planner has forgotten it


class Action(NamedTuple):
    verb: Verb
    slot: Slot


class _SiteQueue:
    __slots__ = (
        "called",
        "destination",
        "idle",
        "is_local",
        "is_marked",
        "is_starving",
        "open",
        "site",
        "taken",
        "timer",
        "turns",
        "working",
    )

    def __init__(self, site: Site, destination: Destination, is_local: bool) -> None:
        self.site = site
        self.destination = destination
        self.is_local = is_local
        self.turns = Turns()
        self.open = 0  # slots in any state
        self.called = 0
        self.working = 0  # slots that are known to be connected
        self.idle: list[Slot] = []
        self.is_marked = False
        self.is_starving = False
        self.timer: Instant | None = None
        self.taken = 0  # since it last gave a connection away


@dataclass(frozen=True, slots=True)
class PlannerSettings:
    """`max_connections` is of this worker, to sites that are not `local` (a local site has its own window only)."""

    max_messages: int = 20_000
    max_octets: int = 512 * 1024 * 1024
    max_connections: int = 500
    keep_idle_s: float = 5.0
    is_local: Callable[[SiteKey], bool] = lambda key: key.startswith(("maildir:", "lmtp", STORE_SITE))


class Planner:
    """See the module's text. A slot's life: plan() says OPEN, then take / finished in turns until take says CLOSE,
    plan() says CLOSE, or the runner reports closed() or failed()."""

    def __init__(self, sites: Sites, settings: PlannerSettings | None = None) -> None:
        self.sites = sites
        self.settings = settings or PlannerSettings()
        self.active = ActiveSet(self.settings.max_messages, self.settings.max_octets)
        self.connections = 0  # to sites that are not local
        self._queues: dict[SiteKey, _SiteQueue] = {}
        self._marked: deque[_SiteQueue] = deque()
        self._starving: deque[_SiteQueue] = deque()
        self._idle: dict[Slot, None] = {}  # longest idle first
        self._timers: list[tuple[Instant, int, _SiteQueue]] = []
        self._timer_count = 0

    # -- what is in memory

    def holds(self, queue_id: QueueId) -> bool:
        """The message is in memory: the spool need not offer it (`exclude` of claim_due)."""
        return queue_id in self.active

    def has_room(self, size: int, flow: str) -> bool:
        """A message of that size and flow may come in."""
        return self.active.has_room(size, flow)

    def count_waiting(self) -> int:
        """Jobs that are not (wholly) handed out."""
        return sum(queue.turns.jobs for queue in self._queues.values())

    def offer(self, job: Job, now: Instant) -> bool:
        """Take a job in. False: not now (site dead, suspended or slow, or no room); its rows keep their next_attempt.

        All jobs of one message may be offered, one after the other.
        """
        queue = self._queues.get(job.site)
        site = self.sites.get(job.site) if queue is None else queue.site
        if (site.failures or site.suspended_until) and site.closed_until(now) is not None:
            return False
        if not self._has_room_for(job, queue, now):
            return False
        if queue is None:
            is_local = self.settings.is_local(job.site)
            if isinstance(job.destination, AccountBox | MaildirBox):
                site.window = max(site.window, _DISK_WINDOW)
            queue = self._queues[job.site] = _SiteQueue(site, job.destination, is_local)
        self.active.add(job)
        queue.turns.add(job)
        queue.destination = job.destination
        site.last_used = now
        if not queue.is_marked:
            queue.is_marked = True
            self._marked.append(queue)
        return True

    def _has_room_for(self, job: Job, queue: _SiteQueue | None, now: Instant) -> bool:
        """A site may hold as many as are free, three times that for flows that are new to it; a slowed-down one only
        what it can take soon."""
        if queue is not None:
            active, site = self.active, queue.site
            stock = max(1, active.max_messages - active.messages)
            if not queue.turns.has_flow(job):
                stock *= _NEWCOMERS
            if site.interval_s and now < site.slow_until:
                stock = min(stock, max(_MIN_STOCK, int(_SLOW_STOCK_S / site.interval_s)))
            if queue.turns.jobs >= stock:
                return False
        return job.message.id in self.active or self.active.has_room(job.size, job.flow)

    def withdraw(self, queue_id: QueueId) -> list[Job]:
        """Hold or delete: take a message's waiting recipients out. What a connection has in hand goes on.

        The jobs returned, here and by `expired`, `suspend` and `failed`, have only those `recipients` left.
        """
        active = self.active.get(queue_id)
        return [job for job in active.jobs if self._drop(job)] if active else []

    def expired(self, now: Instant) -> list[Job]:
        """Jobs whose time ran out while they waited here; they are taken out. Call it every few seconds."""
        return [job for job in self.active.find_expired(now) if self._drop(job)]

    def _drop(self, job: Job) -> bool:
        queue = self._queues[job.site]
        if not queue.turns.drop(job):
            return False
        self.active.release(job.message.id)
        if not queue.turns.jobs and not queue.open:
            del self._queues[job.site]
        return True

    def forget_idle_sites(self, now: Instant) -> int:
        """Keep the table of sites small; call it every few minutes."""
        return self.sites.forget_idle(now, frozenset(self._queues))

    # -- connections

    def plan(self, now: Instant) -> list[Action]:
        """What to open, use and close now. Cheap when nothing changed; call it after offers and closings."""
        actions: list[Action] = []
        while self._timers and self._timers[0][0] <= now:
            queue = heapq.heappop(self._timers)[2]
            queue.timer = None
            self._mark(queue)
        while self._starving and self.connections < self.settings.max_connections:
            queue = self._starving.popleft()
            queue.is_starving = False
            self._plan_site(queue, now, actions)
        marked = self._marked
        while marked:
            queue = marked.popleft()
            queue.is_marked = False
            self._plan_site(queue, now, actions)
        self._close_idle(now, actions)
        return actions

    def next_wake(self) -> Instant | None:
        """When plan() is to be called although nothing happened."""
        wake = self._timers[0][0] if self._timers else NEVER
        for slot in self._idle:
            wake = min(wake, Instant(slot.idle_since + self.settings.keep_idle_s))
            break
        return None if wake == NEVER else wake

    def list_loads(self) -> list[tuple[SiteKey, int, int]]:
        """Of each site that is not local: connections it could use now, and has. For whoever shares sites out."""
        return [
            (key, queue.open - len(queue.idle) + queue.turns.jobs, queue.open)
            for key, queue in self._queues.items()
            if not queue.is_local
        ]

    def recheck(self) -> None:
        """After a jump of the clock or new shares: look at every site again in the next plan()."""
        for queue in self._queues.values():
            self._mark(queue)

    def _mark(self, queue: _SiteQueue) -> None:
        if not queue.is_marked:
            queue.is_marked = True
            self._marked.append(queue)

    def _plan_site(self, queue: _SiteQueue, now: Instant, actions: list[Action]) -> None:
        want = max(queue.turns.jobs, queue.turns.recipients // MANY) - queue.called
        site = queue.site
        if want > 0 and site.interval_s and now < site.slow_until:
            want = self._want_slowly(queue, now)
        limit = site.limit()
        want = min(want, limit - queue.open + len(queue.idle))
        while want > 0 and queue.idle:
            slot = queue.idle.pop()  # the last used is the likeliest to be alive
            del self._idle[slot]
            slot.state = SlotState.CALLED
            queue.called += 1
            actions.append(Action(Verb.USE, slot))
            want -= 1
        if want > 0:
            self._open_slots(queue, min(want, limit - queue.open), actions)

    def _want_slowly(self, queue: _SiteQueue, now: Instant) -> int:
        if queue.called:
            return 0
        if now < queue.site.next_slot:
            self._set_timer(queue, queue.site.next_slot)
            return 0
        return 1

    def _set_timer(self, queue: _SiteQueue, at: Instant) -> None:
        if queue.timer is None or at < queue.timer:
            queue.timer = at
            self._timer_count += 1
            heapq.heappush(self._timers, (at, self._timer_count, queue))

    def _open_slots(self, queue: _SiteQueue, count: int, actions: list[Action]) -> None:
        if not queue.is_local:
            free = self.settings.max_connections - self.connections
            count = min(count, max(1, free // 2))  # leave some for others when they get scarce
            if free <= 0 and not self._evict_idle(actions):
                if not queue.open and not queue.is_starving:
                    queue.is_starving = True
                    self._starving.append(queue)
                return
            self.connections += count
        queue.open += count
        queue.called += count
        actions.extend(Action(Verb.OPEN, Slot(queue)) for _ in range(count))

    def _evict_idle(self, actions: list[Action]) -> bool:
        for slot in self._idle:
            if not slot.queue.is_local:
                self._forget_slot(slot)
                actions.append(Action(Verb.CLOSE, slot))
                return True
        return False

    def _close_idle(self, now: Instant, actions: list[Action]) -> None:
        keep_s = self.settings.keep_idle_s
        while self._idle:
            slot = next(iter(self._idle))
            if slot.idle_since <= now < slot.idle_since + keep_s:
                return
            self._forget_slot(slot)
            actions.append(Action(Verb.CLOSE, slot))

    def _forget_slot(self, slot: Slot) -> None:
        """Every way a slot ends goes through here."""
        queue = slot.queue
        if slot.state is SlotState.CLOSED:
            return
        if slot.state is SlotState.CALLED:
            queue.called -= 1
        elif slot.state is SlotState.IDLE:
            queue.idle.remove(slot)
            del self._idle[slot]
        if slot.part is not None:
            self.active.release(slot.part.job.message.id)
            slot.part = None
        slot.state = SlotState.CLOSED
        queue.open -= 1
        queue.working -= slot.works
        if not queue.is_local:
            self.connections -= 1
        if queue.turns.jobs:
            self._mark(queue)
        elif not queue.open:
            self._queues.pop(queue.site.key, None)

    # -- what the runner reports

    def take(self, slot: Slot, now: Instant, max_recipients: int = 100) -> Part | Rest:
        """Work for a connection that is free. CLOSE: close it, the planner has forgotten it."""
        queue = slot.queue
        if slot.state is SlotState.CALLED:
            queue.called -= 1
        slot.state = SlotState.BUSY
        has_work = queue.turns.jobs > 0
        if self._is_surplus(queue) or not (has_work or slot.works):  # not connected yet: nothing worth keeping
            self._forget_slot(slot)
            return Rest.CLOSE
        if not has_work or (queue.site.interval_s and not self._may_go(queue, now)):
            slot.state = SlotState.IDLE
            slot.idle_since = now
            queue.idle.append(slot)
            self._idle[slot] = None
            return Rest.IDLE
        part = slot.part = queue.turns.hand_out(max_recipients)
        job = part.job
        if job.sent < len(job.recipients):  # the job waits on; otherwise its place in `pending` becomes the part's
            self.active.keep(part)
        return part

    def _is_surplus(self, queue: _SiteQueue) -> bool:
        """The site has too many connections, or others have none at all and it has had its turns."""
        if queue.open - len(queue.idle) > queue.site.limit():
            return True
        if not self._starving or queue.is_local:
            return False
        queue.taken += 1
        if queue.taken <= _YIELD_AFTER:
            return False
        queue.taken = 0
        return True

    def _may_go(self, queue: _SiteQueue, now: Instant) -> bool:
        """A slowed-down site's next message may go now."""
        slot_at = queue.site.take_slot(now)
        if slot_at is None:
            return True
        self._set_timer(queue, slot_at)
        return False

    def connected(self, slot: Slot) -> None:
        """The host greeted us. Until the first one does, a site gets a single connection."""
        queue = slot.queue
        if not slot.works and slot.state is not SlotState.CLOSED:
            slot.works = True
            queue.working += 1
            if not queue.site.is_proven:
                queue.site.is_proven = True
                self._mark(queue)

    def finished(self, slot: Slot, now: Instant, ok: bool = True) -> bool:
        """The part in hand is settled and the connection can go on: take() again.

        `ok` False: the transaction failed as a whole, which neither proves nor harms the site. True is returned
        when the site was dead until now: store its row, and have the spool's waiting rows for it tried.
        """
        queue = slot.queue
        part, slot.part = slot.part, None
        if part is not None:
            self.active.release(part.job.message.id)
        queue.site.last_used = now
        if not ok:
            return False
        if not slot.works:
            self.connected(slot)
        recovered = queue.site.note_success()
        if queue.turns.jobs and not queue.is_marked and queue.open < queue.site.limit():
            self._mark(queue)
        return recovered

    def closed(self, slot: Slot) -> None:
        """The connection is gone and nobody is to blame. A part in hand is over: the runner has settled it."""
        self._forget_slot(slot)

    def failed(self, slot: Slot, now: Instant, reason: str) -> list[Job]:
        """The connection could not be made, or broke. The runner has settled what it had in hand.

        When the site is dead now, its waiting jobs are dropped and returned; nothing of theirs needs writing,
        only the site's row.
        """
        queue = slot.queue
        # A host that greeted us is alive: one that hangs up in mid-transaction may mean that message only.
        others_work = slot.works or queue.working > 0
        self._forget_slot(slot)
        if not queue.site.note_failure(now, reason, others_work=others_work):
            return []
        return self._drop_waiting(queue)

    def slow_down(self, key: SiteKey, now: Instant, messages_per_minute: float, duration_s: float) -> None:
        self.sites.get(key).slow_down(messages_per_minute, Instant(now + duration_s))

    def suspend(self, key: SiteKey, until: Instant, reason: str) -> list[Job]:
        """The provider wants nothing for a while. Returns the waiting jobs, which are dropped."""
        self.sites.get(key).suspend(until, reason)
        queue = self._queues.get(key)
        return self._drop_waiting(queue) if queue is not None else []

    def _drop_waiting(self, queue: _SiteQueue) -> list[Job]:
        return [job for job in queue.turns.waiting() if self._drop(job)]
