"""Ids of messages that are on disk only because memory has no room for their flow now; they are read back in order.

Of a flow that waits in hundreds every second place is for the newest: a letter overtakes its sender's own mailing
here as it does in memory (mta/planner_turns).

Pure, bounded. What does not fit is found by its `next_attempt` like everything else; how much that is, is known
about: what was tried before is claimed with it, and after a restart the count begins anew.

How much waits tells how fast new mail may come (`delay_for`).
"""

from __future__ import annotations

from collections import deque

from posthouse.message.ids import QueueId
from posthouse.mta.planner_turns import LONG


class Backlog:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._flows: dict[str, deque[QueueId]] = {}
        self._ids: set[QueueId] = set()
        self.spilled = 0  # messages that found no place here

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, queue_id: object) -> bool:
        return queue_id in self._ids

    @property
    def is_full(self) -> bool:
        return len(self._ids) >= self._limit

    def has_flow(self, flow: str) -> bool:
        return flow in self._flows

    def flows(self) -> list[str]:
        return list(self._flows)

    def add(self, queue_id: QueueId, flow: str) -> bool:
        if queue_id in self._ids:
            return False
        if self.is_full:
            self.spilled += 1
            return False
        self._flows.setdefault(flow, deque()).append(queue_id)
        self._ids.add(queue_id)
        return True

    def note_claimed(self, count: int) -> None:
        """So many came back by their `next_attempt`."""
        self.spilled = max(0, self.spilled - count)

    def note_nothing_due(self) -> None:
        """All that waits has room: what is still counted was deleted, or waits for a time of its own."""
        self.spilled = 0

    def discard(self, queue_id: QueueId) -> None:
        """Its place in the line is given up when its turn comes."""
        self._ids.discard(queue_id)

    def take(self, flow: str, count: int) -> list[QueueId]:
        """The first of a flow that are still wanted, among them the last when it is long."""
        waiting = self._flows.get(flow)
        taken: list[QueueId] = []
        while waiting and len(taken) < count:
            is_newest_next = len(taken) % 2 and len(waiting) > LONG
            queue_id = waiting.pop() if is_newest_next else waiting.popleft()
            if queue_id in self._ids:
                self._ids.discard(queue_id)
                taken.append(queue_id)
        if not waiting:
            self._flows.pop(flow, None)
        return taken


_LEAST_S = 0.05
_MOST_S = 0.5


def delay_for(waiting: int, slow_above: int, refuse_above: int) -> float | None:
    """Seconds that a client is to wait for leave to send a message, more the more waits here; None: send it away."""
    if waiting <= slow_above:
        return 0.0
    if waiting > refuse_above:
        return None
    return _LEAST_S + (_MOST_S - _LEAST_S) * (waiting - slow_above) / (refuse_above - slow_above)
