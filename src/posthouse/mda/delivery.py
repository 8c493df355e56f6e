"""Final delivery, used by the queue and by LMTP alike: each recipient into a Maildir or an account (RFC 5321 §4.4).

A message that already carries a recipient's Delivered-To goes in circles and is refused (RFC 9228 §4). What cannot
be read now is a temporary failure of all. Does not route, and does not follow aliases.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.mda.maildir_delivery import MaildirPostman
from posthouse.mda.prefix import is_in_circle, read_delivered_to
from posthouse.mda.store_delivery import AccountPostman
from posthouse.message.boxes import AccountBox, Box, MaildirBox
from posthouse.message.outcome import Deferred, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.ports.observe import Log
from posthouse.ports.spool import QueuedMessage, QueuedRecipient, SpoolError
from posthouse.ports.store import StoreError

_LOOP = Refused(Reply(554, "5.4.6", "Mail for this recipient goes in circles"))
_UNREADABLE = Deferred(Reply(451, "4.3.0", "The message cannot be read at the moment"))


class LocalMailboxes:
    """The `Mailboxes` of mta/carrier.py."""

    def __init__(self, maildirs: MaildirPostman, accounts: AccountPostman | None, log: Log) -> None:
        self._maildirs, self._accounts, self._log = maildirs, accounts, log

    async def deliver(self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, Box]]) -> list[Outcome]:
        """One outcome for each box, in their order. Never raises for reasons of the disk."""
        try:
            seen = await read_delivered_to(message.body)
            chosen = [each for each in boxes if not is_in_circle(seen, each[0].recipient)] if seen else boxes
            outcomes = await self._deliver(message, chosen)
        except (SpoolError, StoreError) as error:
            self._log.error("message unreadable", id=message.id, error=str(error))
            return [_UNREADABLE for _ in boxes]
        return [outcomes.get(one.number, _LOOP) for one, _ in boxes]

    async def _deliver(
        self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, Box]]
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        people = [one for one, box in boxes if isinstance(box, AccountBox)]
        if people and self._accounts is not None:
            delivered = await self._accounts.deliver(message, people)
            outcomes.update(zip((one.number for one in people), delivered, strict=True))
        maildirs = [(one, box) for one, box in boxes if isinstance(box, MaildirBox)]
        if maildirs:
            delivered = await self._maildirs.deliver(message, maildirs)
            outcomes.update(zip((one.number for one, _ in maildirs), delivered, strict=True))
        return outcomes
