"""How fast somebody may guess: failures counted per address and per account, with a wait that doubles.

Counts leak away with time and never with a success: otherwise an attacker would log in to an account of their own
between guesses. Tables are bounded; the entry that failed longest ago goes first. Every worker has its own and hears
of the failures at others, so those of the last moments may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """After `free` failures the next try has to wait, `first_wait_s` at first and with each failure twice as long, up
    to `longest_wait_s`. One failure is forgotten every `leak_s`.
    """

    free: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    leak_s: float = 60.0
    max_entries: int = 50_000


@dataclass(slots=True)
class _Entry:
    count: float = 0.0
    failed_at: float = 0.0
    pending: int = 0


class Throttle:
    """One table. Times are of the monotonic clock, in seconds."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self._settings = settings
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def wait_s(self, key: str, now: float) -> float:
        """How long until `key` may try again; 0: now. Once it has to wait, it has one try at a time."""
        entry = self._entries.get(key)
        if entry is None:
            return 0.0
        settings = self._settings
        count = self._leak(entry, now)
        if count + entry.pending < settings.free:
            return 0.0
        # What leaked in the last moments is no reason for a shorter wait, hence rounded.
        doublings = min(max(0, round(count) - settings.free), 32)
        wait = min(settings.first_wait_s * 2.0**doublings, settings.longest_wait_s)
        return max(settings.first_wait_s if entry.pending else 0.0, entry.failed_at + wait - now)

    def begin(self, key: str) -> None:
        """A try whose outcome takes time; `end` must follow. So many guesses at once count before one is answered."""
        self._entry(key).pending += 1

    def end(self, key: str, now: float) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.pending = max(0, entry.pending - 1)
        if not entry.pending and self._leak(entry, now) <= 0:
            del self._entries[key]

    def count_pending(self, key: str) -> int:
        entry = self._entries.get(key)
        return entry.pending if entry is not None else 0

    def note_failure(self, key: str, now: float) -> None:
        entry = self._entry(key)
        entry.count = self._leak(entry, now) + 1
        entry.failed_at = now
        self._entries[key] = self._entries.pop(key)  # the latest is last

    def _entry(self, key: str) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._settings.max_entries:
                del self._entries[next(iter(self._entries))]
            entry = self._entries[key] = _Entry()
        return entry

    def _leak(self, entry: _Entry, now: float) -> float:
        return max(0.0, entry.count - (now - entry.failed_at) / self._settings.leak_s)
