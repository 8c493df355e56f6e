"""Work that two requests want at nearly the same time is done once: the page asks for the head of a message and shows
it in a frame. A few results are kept for some seconds; nothing durable.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

from posthouse.ports.clock import Clock

T = TypeVar("T")


class Recent(Generic[T]):
    """`most` results, each for `seconds`."""

    def __init__(self, clock: Clock, most: int = 8, seconds: float = 10.0) -> None:
        self._clock, self._most, self._seconds = clock, most, seconds
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Task[T]]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """Who goes away takes nobody else's result along. Failures are not kept."""
        now = self._clock.monotonic()
        until, task = self._kept.pop(key, (0.0, None))
        if task is None or until <= now or (task.done() and (task.cancelled() or task.exception() is not None)):
            until, task = now + self._seconds, asyncio.create_task(make())
            task.add_done_callback(_note_failure)
        self._kept[key] = until, task
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return await asyncio.shield(task)


def _note_failure(task: asyncio.Task[T]) -> None:
    """That nobody waited for it any more is no defect."""
    if not task.cancelled():
        task.exception()
