"""UIDBATCHES (RFC 10022): the mailbox cut into ranges of UIDs with about as many messages each, the newest first.

Ranges touch and the last one ends at 1, so that what a client asks by them is everything. Arithmetic on the view: no
store is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.updates import tell_news
from posthouse.protocol.imap.commands import UidBatches

_SMALLEST = 500


async def uid_batches(context: Context, request: UidBatches) -> Done:
    size, first, last = request.size, request.first, request.last
    if first is not None and last is not None and first > last:
        raise Bad("The first batch comes before the last", b"CLIENTBUG")
    limit = context.desk.settings.message_limit
    smallest = min(_SMALLEST, limit or _SMALLEST)  # what one command may work on is never too few
    if size < smallest:
        raise No(f"A batch has at least {smallest} messages", b"TOOFEW")
    if limit and size > limit:
        raise No(f"A batch has at most {limit} messages", b"TOOMANY")
    await tell_news(context)
    ranges = cut_batches(context.mailbox.view.uids, size, first or 1, last)
    tag = context.tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    text = b" " + b",".join([b"%d:%d" % pair for pair in ranges]) if ranges else b""
    context.write(b'* UIDBATCHES (TAG "%b")%b\r\n' % (tag, text))
    return Done("That is how it is cut")


def cut_batches(uids: Sequence[int], size: int, first: int, last: int | None) -> list[tuple[int, int]]:
    """(high, low) of batches `first` to `last`, counted from the newest; fewer when there are not so many."""
    count = len(uids)
    batches = -(-count // size)
    found: list[tuple[int, int]] = []
    for number in range(first, min(batches, last or batches) + 1):
        top, bottom = count - (number - 1) * size, count - number * size
        high = uids[-1] if number == 1 else uids[top] - 1
        found.append((high, uids[bottom] if bottom > 0 else 1))
    return found
