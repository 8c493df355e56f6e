"""THREAD and UID THREAD (RFC 5256 §3): ORDEREDSUBJECT, REFERENCES, REFS.

The trees of a large mailbox are built beside the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.searching import prepare, run_search
from posthouse.access.imap.searching_results import find_places, keep_known
from posthouse.message.mailbox import Uid
from posthouse.ms.thread_trees import Forest, ThreadBy, ThreadRow, build_threads
from posthouse.protocol.imap.commands import Thread

_MANY = 10_000  # messages that take longer than other sessions should wait


async def thread(context: Context, request: Thread) -> Done:
    program = await prepare(context, request.key, is_uid=request.is_uid)
    found = await run_search(context, program)
    view, place = context.mailbox.view, context.mailbox.place
    uids = keep_known(view, found.uids)
    rows = await context.desk.store.search.thread_rows(place.owner, place.mailbox.id, [Uid(uid) for uid in uids])
    number_of: Callable[[int], int] | None = None
    if not request.is_uid:
        places = find_places(view, uids, is_ascending=True)
        number_of = {uid: place + 1 for uid, place in zip(uids, places, strict=True)}.__getitem__
    work = partial(_answer, rows, ThreadBy(request.kind.value), number_of)
    context.write(work() if len(rows) < _MANY else await context.desk.compute.run(work))
    return Done("Thread completed")


def _answer(rows: Sequence[ThreadRow], by: ThreadBy, number_of: Callable[[int], int] | None) -> bytes:
    forest = build_threads(rows, by)
    numbers = [str(row.uid if number_of is None else number_of(row.uid)) for row in rows]
    return b"* THREAD %b\r\n" % write_threads(forest, numbers) if rows else b"* THREAD\r\n"


def write_threads(forest: Forest, numbers: Sequence[str]) -> bytes:
    """`thread-list` of RFC 5256 §5. A thread may be as deep as it likes: nothing recurses."""
    children, count = forest.children, len(numbers)
    pieces: list[str] = []
    for root in forest.roots:
        if root not in children:
            pieces += ("(", numbers[root], ")")
            continue
        waiting: list[int | str] = [")", root, "("]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                pieces.append(item)
                continue
            below = children.get(item, ())
            if item < count:
                pieces.append(numbers[item])
                if below:
                    pieces.append(" ")
            if len(below) == 1:
                waiting.append(below[0])
            else:
                for child in reversed(below):
                    waiting += (")", child, "(")
    return "".join(pieces).encode("ascii")
