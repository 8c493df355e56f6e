"""Which messages are in memory, and who may bring in more.

Pure. The set is bounded (messages, octets) by dynamic thresholds (Choudhury and Hahne 1998): a flow may hold as
much as is still free. One flow alone gets half of the set, two get a third each, and there is always room for
somebody new: a mailing cannot shut out others.
"""

from __future__ import annotations

from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.mta.planner_turns import Job, Part
from posthouse.mta.schedule import NEVER


class Usage:
    """What a flow holds."""

    __slots__ = ("messages", "octets")

    def __init__(self) -> None:
        self.messages = 0
        self.octets = 0


class Active:
    """A message in memory: `pending` counts its waiting jobs and its parts in hand."""

    __slots__ = ("flow", "jobs", "pending", "size")

    def __init__(self, flow: str, size: int) -> None:
        self.flow = flow
        self.size = size
        self.pending = 0
        self.jobs: list[Job] = []


class ActiveSet:
    """The messages in memory."""

    def __init__(self, max_messages: int, max_octets: int) -> None:
        self.max_messages = max_messages
        self.max_octets = max_octets
        self.messages = 0
        self.octets = 0
        self._active: dict[QueueId, Active] = {}
        self._usage: dict[str, Usage] = {}
        self._first_expiry = NEVER

    def __contains__(self, queue_id: object) -> bool:
        return queue_id in self._active

    def get(self, queue_id: QueueId) -> Active | None:
        return self._active.get(queue_id)

    def has_room(self, size: int, flow: str) -> bool:
        """Something can always come into an empty set, whatever its size."""
        usage = self._usage.get(flow)
        messages, octets = (usage.messages, usage.octets) if usage is not None else (0, 0)
        free_octets = self.max_octets - self.octets - size
        return not self.messages or (messages < self.max_messages - self.messages and octets + size <= free_octets)

    def add(self, job: Job) -> None:
        """A waiting job, perhaps of a message that is here already."""
        active = self._active.get(job.message.id)
        if active is None:
            active = self._add_message(job)
        active.pending += 1
        active.jobs.append(job)
        self._first_expiry = job.expires if job.expires < self._first_expiry else self._first_expiry  # noqa: FURB136

    def _add_message(self, job: Job) -> Active:
        active = self._active[job.message.id] = Active(job.flow, job.size)
        self.messages += 1
        self.octets += job.size
        usage = self._usage.get(job.flow)
        if usage is None:
            usage = self._usage[job.flow] = Usage()
        usage.messages += 1
        usage.octets += job.size
        return active

    def keep(self, part: Part) -> None:
        """A part was handed out of a job that goes on waiting."""
        self._active[part.job.message.id].pending += 1

    def release(self, queue_id: QueueId) -> None:
        """One waiting job or part of a message is over; with the last the message leaves."""
        active = self._active[queue_id]
        active.pending -= 1
        if active.pending:
            return
        del self._active[queue_id]
        self.messages -= 1
        self.octets -= active.size
        usage = self._usage[active.flow]
        usage.messages -= 1
        usage.octets -= active.size
        if not usage.messages:
            del self._usage[active.flow]

    def find_expired(self, now: Instant) -> list[Job]:
        """Waiting jobs whose time ran out. Cheap while nothing can have expired."""
        if now < self._first_expiry:
            return []
        waiting = [job for active in self._active.values() for job in active.jobs if job.sent < len(job.recipients)]
        self._first_expiry = min((job.expires for job in waiting if job.expires > now), default=NEVER)
        return [job for job in waiting if job.expires <= now]
