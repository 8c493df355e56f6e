"""What happened to a message, from the first byte to a mailbox or the remote reply, told from the journal.

A message is asked for by queue id, Message-ID or address. Reports that a message caused, and the message that a
report is about, belong to its story. Pure on top of `ports.history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from posthouse.message.ids import split_queue_id
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.ports.history import LIST_FIELDS, History, Record

LINK_FIELDS = ("report", "about")
MAX_ROUNDS = 8  # message, report, report's own failure ...: more is a loop


@dataclass(slots=True)
class Story:
    """All that is known of one message, in order of time."""

    id: str
    records: list[Record] = field(default_factory=list)

    @property
    def began(self) -> float:
        return read_time(self.records[0])


def trace(history: History, what: str, limit: int) -> list[Story]:
    """The stories of the latest `limit` messages that `what` names, with those they lead to; oldest first."""
    named = _list_ids(history.find(_make_terms(what)))[-limit:]
    known: dict[str, Story] = {}
    wanted = set(named)
    for _ in range(MAX_ROUNDS):
        if not wanted:
            break
        records = history.find(wanted)
        for queue_id in wanted:
            known[queue_id] = Story(queue_id)
        for record in records:
            story = known.get(str(record.get("id")))
            if story is not None and story.id in wanted:
                story.records.append(record)
        wanted = {linked for record in records for linked in _list_links(record)} - known.keys()
    stories = [story for story in known.values() if story.records]
    for story in stories:
        story.records.sort(key=read_time)
    return sorted(stories, key=lambda story: story.began)


def _make_terms(what: str) -> set[str]:
    """Message ids are kept with or without their angle brackets; both are looked for."""
    text = what.strip()
    if is_queue_id(text):
        return {text.upper()}
    bare = text.removeprefix("<").removesuffix(">")
    return {bare, f"<{bare}>"}


def is_queue_id(text: str) -> bool:
    try:
        split_queue_id(text)
    except ValueError:
        return False
    return True


def _list_ids(records: Iterable[Record]) -> list[str]:
    """Queue ids in the order they first appear."""
    return list(dict.fromkeys(str(record["id"]) for record in records if record.get("id")))


def _list_links(record: Record) -> Iterator[str]:
    for name in ("id", *LINK_FIELDS):
        value = record.get(name)
        if isinstance(value, str) and is_queue_id(value):
            yield value
    reports = record.get("reports")
    if isinstance(reports, list | tuple):
        yield from (str(value) for value in reports if is_queue_id(str(value)))


def read_time(record: Record) -> float:
    at = record.get("at")
    return float(at) if isinstance(at, int | float) else 0.0


def to_plain(record: Record) -> dict[str, object]:
    """A record for `--json`: the time as RFC 3339 first, then step and id, then its fields."""
    fields = {name: value for name, value in record.items() if name not in ("at", "step", "id")}
    time = format_rfc3339(Instant(read_time(record)))
    return {"time": time, "step": record.get("step", ""), "id": record.get("id", ""), **fields}


PHRASES = {
    "submitted": "submitted by a user",
    "repeated": "submitted again, not sent again",
    "canceled": "taken back by the user",
    "received": "received",
    "refused": "refused",
    "queued": "queued",
    "tried": "tried",
    "delivered": "delivered to the mailbox",
    "relayed": "handed on",
    "deferred": "put off",
    "failed": "failed for good",
    "expired": "given up: too old",
    "warned": "sender told that it is late",
    "bounced": "given back to the sender",
    "reported": "report made",
    "discarded": "thrown away as configured",
    "held": "held",
    "released": "released",
    "retried": "retry asked for",
    "deleted": "deleted",
    "removed": "left the queue",
}


TIME_FIELDS = frozenset({"send_at", "was_for"})


def _show(name: str, value: object) -> str:
    if name in TIME_FIELDS and isinstance(value, int | float):
        return format_rfc3339(Instant(value))
    return ", ".join(map(str, value)) if name in LIST_FIELDS and isinstance(value, list | tuple) else str(value)


def describe(record: Record) -> tuple[str, str]:
    """The step in plain words, and the fields that explain it as `name value` pairs."""
    step = str(record.get("step", ""))
    details = []
    for name, value in record.items():
        if name in ("at", "step", "id") or value is None or value is False or value in ("", []):
            continue
        details.append(f"{name.replace('_', ' ')} {_show(name, value)}")
    return PHRASES.get(step, step), "; ".join(details)
