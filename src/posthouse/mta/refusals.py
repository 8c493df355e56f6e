"""What a client hears when a message cannot be stored now, and what takes its octets meanwhile."""

from __future__ import annotations

from posthouse.message.reply import Reply
from posthouse.ports.spool import Body, SpoolBroken, SpoolError, SpoolFull

_FULL = Reply(452, "4.3.1", "Not enough room for mail now, try again later")
_BROKEN = Reply(451, "4.3.0", "The mail could not be stored, try again later")
_BUSY = Reply(451, "4.3.2", "Too much mail is waiting here, try again later")


class FailedWriter:
    """Takes the place of a writer that failed, so that the rest of the message is dropped."""

    size = 0

    def __init__(self, error: SpoolError) -> None:
        self._error = error

    async def write(self, data: bytes) -> None:
        return None

    async def finish(self) -> Body:
        raise self._error

    def discard(self) -> None:
        return None


def refusal_for(error: BaseException) -> Reply:
    """What the peer hears when the spool could not take a message: always 4xx."""
    if isinstance(error, SpoolFull):
        return _FULL
    if isinstance(error, SpoolBroken) or not isinstance(error, SpoolError):
        return _BROKEN
    return _BUSY
