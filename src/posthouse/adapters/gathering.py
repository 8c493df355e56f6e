"""Gathers small items and has a thread write them in batches, so that no slow disk or reader holds up who has them.

The buffer is bounded: what finds it full is not taken. A killed process loses what waits: at most `gather_s` of it,
unless the writing itself hangs. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Gatherer(Generic[Item]):
    """`write` is called in the thread, with all that waits; it must not raise. `limit` and `hurry_at` are in octets:
    from `hurry_at` on nothing is waited for."""

    def __init__(
        self, name: str, write: Callable[[list[Item]], None], gather_s: float, limit: int, hurry_at: int
    ) -> None:
        self._name = name
        self._write = write
        self._gather_s = gather_s
        self._limit = limit
        self._hurry_at = hurry_at
        self._lock = threading.Lock()
        self._waiting: list[Item] = []
        self._size = 0
        self._thread: threading.Thread | None = None
        self._has_items = threading.Event()
        self._is_urgent = threading.Event()
        self._is_idle = threading.Event()
        self._is_idle.set()

    def put(self, item: Item, size: int, is_urgent: bool = False) -> bool:
        """False: there is no room."""
        with self._lock:
            if self._size > self._limit:
                return False
            self._waiting.append(item)
            self._size += size
            is_urgent |= self._size > self._hurry_at
            if not self._has_items.is_set():
                self._wake()
        if is_urgent:
            self._is_urgent.set()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is written; False when that took too long."""
        self._is_urgent.set()
        return self._is_idle.wait(timeout_s)

    def _wake(self) -> None:
        self._is_idle.clear()
        self._has_items.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._has_items.wait()
            self._is_urgent.wait(self._gather_s)
            with self._lock:
                self._is_urgent.clear()
                self._has_items.clear()
                batch, self._waiting, self._size = self._waiting, [], 0
            self._write(batch)
            with self._lock:
                if not self._has_items.is_set():
                    self._is_idle.set()
