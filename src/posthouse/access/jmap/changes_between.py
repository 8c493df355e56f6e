"""States between two others, for clients that want few changes at once (RFC 8620 §5.2); a list and the changes up to
it, of one moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from posthouse.access.jmap.method import Call
from posthouse.message.mailbox import ModSeq
from posthouse.ports.store import AccountChanges
from posthouse.protocol.jmap.errors import ErrorType, MethodError

_T = TypeVar("_T")
_TRIES = 4  # mail may come between two reads


def find_end(moments: Iterable[ModSeq], now: ModSeq, room: int | None) -> ModSeq:
    """The state up to which at most `room` records were made or changed; None: all, which is `now`.

    `moments`: when each was made, of those the client does not know yet, or changed last. What went has no moment and
    is told at once. Raises MethodError where more than that changed in one moment.
    """
    ordered = sorted(moments)
    if room is None or len(ordered) <= room:
        return now
    ends = [ordered[place] for place in range(room) if ordered[place] < ordered[place + 1]] if room > 0 else []
    if not ends:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES, "More changed at once than is wanted at once")
    return ends[-1]


async def read_at_once(
    call: Call, read_changes: Callable[[], Awaitable[AccountChanges]], read_list: Callable[[], Awaitable[_T]]
) -> tuple[AccountChanges, _T]:
    """What changed, and a list in which nothing else did: the places of what is told are those of the client's list."""
    changes, found = await read_changes(), await read_list()
    for _ in range(_TRIES):
        if await call.parts.store.changes.modseq(call.owner) == changes.modseq:
            break
        changes, found = await read_changes(), await read_list()
    return changes, found
