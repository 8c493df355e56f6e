"""THREAD and UID THREAD (RFC 5256 §3): ORDEREDSUBJECT, REFERENCES, REFS.

What takes long is written beside the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.searching import check_charset, prepare, run_search
from posthouse.access.imap.searching_results import find_places, keep_known
from posthouse.message.mailbox import Uid
from posthouse.ms.thread_trees import Forest, ThreadBy
from posthouse.protocol.imap.commands import Thread

_MANY = 10_000  # messages that take longer than other sessions should wait


async def thread(context: Context, request: Thread) -> Done:
    check_charset(context, request)
    program = await prepare(context, request.key, is_uid=request.is_uid)
    found = await run_search(context, program)
    view, place = context.mailbox.view, context.mailbox.place
    uids = keep_known(view, found.uids)
    search, kind = context.desk.store.search, ThreadBy(request.kind.value)
    here, forest = await search.threads(place.owner, place.mailbox.id, [Uid(uid) for uid in uids], kind)
    numbers: Sequence[int] = here
    if not request.is_uid:
        numbers = [at + 1 for at in find_places(view, here, is_ascending=True)]
    work = partial(write_threads, forest, numbers)
    context.write(work() if len(here) < _MANY else await context.desk.compute.run(work))
    return Done("Thread completed")


def write_threads(forest: Forest, of: Sequence[int]) -> bytes:
    """RFC 5256 §4, `of` being what messages are called. A thread may be as deep as it likes: nothing recurses."""
    numbers = list(map(str, of))
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
    return b"* THREAD %b\r\n" % "".join(pieces).encode("ascii") if pieces else b"* THREAD\r\n"
