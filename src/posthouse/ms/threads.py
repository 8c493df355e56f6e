"""Which emails are one thread (RFC 8621 §3): they share a message id and have the same base subject (RFC 5256 §2.1).

A message id counts wherever it stands: Message-ID, In-Reply-To, References. The store keeps, per account, the thread
of each pair (message id, base subject). A new email looks its pairs up, and:

    none found          a new thread
    one thread found    it joins that one
    several found       it joins the oldest one and the others merge into it

Emails of a thread that merges keep their ids and placements; their thread is another one then, which is told as a
change of both. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.message.mailbox import ThreadId
from posthouse.message.parsed import ParsedMessage

# The first ids name the start of a thread, the last ones its neighbours; a message of a very long thread has both.
_FIRST_IDS = 20
_LAST_IDS = 30
_MAX_ID = 512


def counting_ids(message: ParsedMessage) -> tuple[str, ...]:
    """The message ids that tie an email to others, its own first; each once, bounded."""
    references = message.references
    if len(references) > _FIRST_IDS + _LAST_IDS:
        references = references[:_FIRST_IDS] + references[-_LAST_IDS:]
    ids = (message.message_id, *references)
    return tuple(dict.fromkeys(text for text in ids if text and len(text) <= _MAX_ID))


def thread_subject(message: ParsedMessage) -> str:
    """What must be the same in all emails of a thread: the base subject without its spaces (RFC 8621 §3)."""
    return message.keys.base_subject.replace(" ", "")


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """`thread` None: a new one is to be made. `merged` are threads whose emails move to `thread`, ascending."""

    thread: ThreadId | None
    merged: tuple[ThreadId, ...] = ()


NEW_THREAD = ThreadPlan(None)


def plan_thread(found: Iterable[ThreadId]) -> ThreadPlan:
    """`found`: the threads that the email's pairs lead to, in any order and as often as they come."""
    threads = sorted(set(found))
    if not threads:
        return NEW_THREAD
    return ThreadPlan(threads[0], tuple(threads[1:]))
