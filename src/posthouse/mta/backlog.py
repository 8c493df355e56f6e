"""Ids of messages that are on disk only because memory has no room for their flow now; they are read back in order.

Pure, bounded. What does not fit is found by its `next_attempt` like everything else.
"""

from __future__ import annotations

from collections import deque

from posthouse.message.ids import QueueId


class Backlog:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._flows: dict[str, deque[QueueId]] = {}
        self._ids: set[QueueId] = set()

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
        if self.is_full or queue_id in self._ids:
            return False
        self._flows.setdefault(flow, deque()).append(queue_id)
        self._ids.add(queue_id)
        return True

    def discard(self, queue_id: QueueId) -> None:
        """Its place in the line is given up when its turn comes."""
        self._ids.discard(queue_id)

    def take(self, flow: str, count: int) -> list[QueueId]:
        """The first of a flow that are still wanted."""
        waiting = self._flows.get(flow)
        taken: list[QueueId] = []
        while waiting and len(taken) < count:
            queue_id = waiting.popleft()
            if queue_id in self._ids:
                self._ids.discard(queue_id)
                taken.append(queue_id)
        if not waiting:
            self._flows.pop(flow, None)
        return taken
