"""States between two others, for clients that want few changes at once (RFC 8620 §5.2). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.message.mailbox import ModSeq
from posthouse.protocol.jmap.errors import ErrorType, MethodError


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
