"""Whose turn it is at one site: the fair queue of the planner.

Pure. Between flows (who it is for: see `flow_of`) turns are given by deficit round robin (Shreedhar and Varghese
1995). A flow pays for what it sends by recipients and octets; its income follows the priority of its messages
(RFC 6710 §4.2). So a mailing of 100,000 messages delays somebody else's message by one turn, not by 100,000.
Postfix's slot-credit preemption counts recipients per message and lets a mailing of single messages pass as
100,000 equals; a plain FIFO delays all that comes later.

Inside a flow messages with few recipients and with many have a lane each and the lanes take turns, so a sender's
next letter overtakes his own mailing. In the lane for many, each message sends one transaction and goes to the
back. In the lane for few they stay in their order; only when the lane is so long that it must be a mailing of
single messages, every second turn is for the newest, so that the next letter overtakes that one, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from posthouse.message.address import Address
from posthouse.message.instant import Instant
from posthouse.mta.schedule import NEVER
from posthouse.mta.targets import Destination, SiteKey
from posthouse.ports.spool import QueuedMessage, QueuedRecipient

MANY = 50  # recipients of one message at one site from which it is a mailing
LONG = 100  # messages with few recipients in one lane from which they are a mailing
_COST = 8  # of a transaction, beside one per recipient and one per 8 KiB
_MAX_COST = 256
_INCOMES = tuple(round(9 * 2 ** (priority / 3)) for priority in range(-9, 10))


def flow_of(sender: Address | None, source: str) -> str:
    """Whose turn a message takes: sender and where it came from.

    Senders that name the recipient or a tag (VERP, BATV: "list+ann=example.net@", "prvs=1234=ann@") count as one.
    """
    if sender is None:
        return source
    local, domain = sender.local, sender.domain
    if "=" in local:
        return f"{source} @{domain}"
    if "+" in local:
        return f"{source} {local.partition('+')[0]}@{domain}"
    return f"{source} {local}@{domain}"


class Job:
    """The waiting recipients of one message at one site. `expires`: see RetrySchedule.deadline."""

    __slots__ = ("destination", "expires", "flow", "message", "priority", "recipients", "sent", "site", "size")

    def __init__(
        self,
        message: QueuedMessage,
        site: SiteKey,
        destination: Destination,
        recipients: Sequence[QueuedRecipient],
        flow: str,
        expires: Instant = NEVER,
    ) -> None:
        self.message = message
        self.site = site
        self.destination = destination
        self.recipients = recipients
        self.flow = flow
        self.expires = expires
        self.priority = message.envelope.mt_priority
        self.size = message.size
        self.sent = 0  # recipients before this index were handed out (or withdrawn)

    @property
    def waiting(self) -> Sequence[QueuedRecipient]:
        """The recipients that were not handed out."""
        return self.recipients[self.sent :]


class Part:
    """One transaction: recipients of one job."""

    __slots__ = ("job", "recipients")

    def __init__(self, job: Job, recipients: Sequence[QueuedRecipient]) -> None:
        self.job = job
        self.recipients = recipients

    @property
    def message(self) -> QueuedMessage:
        return self.job.message


class Flow:
    __slots__ = ("deficit", "few", "income", "key", "many", "many_next", "newest_next")

    def __init__(self, key: tuple[str, int], income: int) -> None:
        self.key = key
        self.income = income
        self.deficit = income
        self.few: deque[Job] = deque()
        self.many: deque[Job] | None = None
        self.many_next = False
        self.newest_next = False

    def find_lane(self) -> deque[Job] | None:
        """The lane whose turn it is; jobs that were withdrawn meanwhile are removed on the way."""
        few, many = self.few, self.many
        while few and few[0].sent >= len(few[0].recipients):
            few.popleft()
        while many and many[0].sent >= len(many[0].recipients):
            many.popleft()
        if many and (self.many_next or not few):
            return many
        if len(few) > LONG:
            self._bring_newest(few)
        return few or None

    def _bring_newest(self, few: deque[Job]) -> None:
        """To the front, every second time."""
        self.newest_next = not self.newest_next
        if self.newest_next:
            while few[-1].sent >= len(few[-1].recipients):
                few.pop()  # withdrawn; the first one is not
            few.rotate(1)


class Turns:
    """The waiting jobs of one site."""

    __slots__ = ("flows", "jobs", "recipients", "ring")

    def __init__(self) -> None:
        self.flows: dict[tuple[str, int], Flow] = {}
        self.ring: deque[Flow] = deque()
        self.jobs = 0
        self.recipients = 0  # of all waiting jobs

    def has_flow(self, job: Job) -> bool:
        """Something of the job's flow waits here already."""
        return (job.flow, job.priority) in self.flows

    def add(self, job: Job) -> None:
        key = (job.flow, job.priority)
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = Flow(key, _INCOMES[max(-9, min(job.priority, 9)) + 9])
            self.ring.append(flow)
        count = len(job.recipients)
        if count <= MANY:
            flow.few.append(job)
        elif flow.many is None:
            flow.many = deque((job,))
        else:
            flow.many.append(job)
        self.jobs += 1
        self.recipients += count

    def hand_out(self, max_recipients: int) -> Part:
        """The next transaction; only called while `jobs` is not 0. A job with recipients left goes to the back."""
        flow, lane = self._next_lane()
        job = lane[0]
        recipients = job.recipients
        total, start = len(recipients), job.sent
        end = min(start + max_recipients, total)
        job.sent = end
        self.recipients -= end - start
        flow.deficit -= min(_COST + end - start + (job.size >> 13), _MAX_COST)
        flow.many_next = lane is flow.few
        if end == total:
            lane.popleft()
            self.jobs -= 1
            if not flow.few and not flow.many:
                self.ring.popleft()
                del self.flows[flow.key]
        elif len(lane) > 1:
            lane.rotate(-1)
        return Part(job, recipients if end - start == total else recipients[start:end])

    def _next_lane(self) -> tuple[Flow, deque[Job]]:
        """The next flow with credit and something to send, which is then the head of the ring."""
        ring = self.ring
        passed = 0
        while True:
            flow = ring[0]
            if len(ring) == 1:
                flow.deficit = flow.income  # nobody to owe it to
            if flow.deficit <= 0:
                flow.deficit += flow.income
                ring.rotate(-1)
                passed += 1
                if passed >= len(ring):
                    self._skip_rounds()
                    passed = 0
                continue
            lane = flow.find_lane()
            if lane is not None:
                return flow, lane
            ring.popleft()
            del self.flows[flow.key]

    def _skip_rounds(self) -> None:
        """Everybody is in debt: give the income of all the rounds at once in which nobody would get a turn."""
        rounds = min(-flow.deficit // flow.income for flow in self.ring)
        if rounds > 0:
            for flow in self.ring:
                flow.deficit += rounds * flow.income

    def drop(self, job: Job) -> bool:
        """Cut a job down to what was not handed out and take it out; False: there is nothing left of it.

        It stays in its lane, spent, until its turn comes.
        """
        left = len(job.recipients) - job.sent
        if not left:
            return False
        self.jobs -= 1
        self.recipients -= left
        job.recipients, job.sent = job.recipients[job.sent :], left
        if not self.jobs:
            self.ring.clear()
            self.flows.clear()
        return True

    def waiting(self) -> list[Job]:
        """All jobs with something left, flow by flow."""
        lanes = [lane for flow in self.ring for lane in (flow.few, flow.many) if lane]
        return [job for lane in lanes for job in lane if job.sent < len(job.recipients)]
