"""How the roles tell what they do: log (for operators), journal (for `trace`), metrics (for `/metrics`).

All three are called on the path of every message: they return at once and never raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Log(Protocol):
    """Events with fields, one per fact. Values are str, int, float, bool or None; never a password or a body."""

    def debug(self, event: str, /, **fields: object) -> None: ...

    def info(self, event: str, /, **fields: object) -> None: ...

    def warning(self, event: str, /, **fields: object) -> None: ...

    def error(self, event: str, /, **fields: object) -> None:
        """Ours to mend. Inside an `except` block the traceback is added."""


class Journal(Protocol):
    """One record per message and step: received, queued, tried, delivered, bounced ... kept for `trace`."""

    def record(self, step: str, queue_id: str, /, **fields: object) -> None:
        """`step` is one of the words in docs/operations.md; `fields` as for Log. The time is added."""


class Counter(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    def set(self, value: float) -> None: ...

    def inc(self, amount: float = 1) -> None: ...

    def dec(self, amount: float = 1) -> None: ...


class Histogram(Protocol):
    def observe(self, amount: float) -> None: ...


class Metrics(Protocol):
    """Makers of figures; keep what they return (one call per label set, not one per message)."""

    def counter(self, name: str, help_text: str, /, **labels: str) -> Counter: ...

    def gauge(self, name: str, help_text: str, /, **labels: str) -> Gauge: ...

    def histogram(self, name: str, help_text: str, buckets: Sequence[float], /, **labels: str) -> Histogram: ...


class FakeLog:
    """Keeps `(level, event, fields)`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, event: str, /, **fields: object) -> None:
        self.events.append(("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.events.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.events.append(("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.events.append(("error", event, fields))


class FakeJournal:
    """Keeps `(step, queue id, fields)`."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, object]]] = []

    def record(self, step: str, queue_id: str, /, **fields: object) -> None:
        self.records.append((step, queue_id, fields))


class FakeFigure:
    """Counter, gauge and histogram in one: `value` is the sum or what was set, `seen` every observation."""

    def __init__(self) -> None:
        self.value = 0.0
        self.seen: list[float] = []

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        self.value -= amount

    def set(self, value: float) -> None:
        self.value = value

    def observe(self, amount: float) -> None:
        self.seen.append(amount)
