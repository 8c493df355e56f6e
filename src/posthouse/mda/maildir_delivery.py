"""Final delivery into Maildirs (ports/maildir.py).

Each recipient gets its own copy. Binary octets become text, as line ends do not stay what they are in a Maildir. A
copy is on disk when its outcome says Delivered; anything the disk or a path does not allow is a temporary failure of
that recipient alone. What the sender hears names no paths; the log does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from posthouse.mda.prefix import make_prefix
from posthouse.message.boxes import MaildirBox
from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reencode import reencode
from posthouse.message.reply import Reply
from posthouse.ports.compute import Compute
from posthouse.ports.maildir import MaildirDelivery, Maildirs
from posthouse.ports.observe import Log
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient

_MAX_BINARY = 67_108_864
_DELIVERED = Delivered(Reply(250, "2.0.0", "Delivered to the mailbox"))
_UNAVAILABLE = Deferred(Reply(451, "4.3.0", "The mailbox cannot be written at the moment"))
_TOO_LARGE = Refused(Reply(554, "5.6.3", "Conversion required but not possible: the message is too large"))
_MAILBOX = HopCapabilities(eightbitmime=True, binarymime=False, smtputf8=True)


class MaildirPostman:
    def __init__(self, maildirs: Maildirs, compute: Compute, log: Log) -> None:
        self._maildirs, self._compute, self._log = maildirs, compute, log

    async def deliver(
        self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, MaildirBox]]
    ) -> list[Outcome]:
        """One outcome for each box, in their order. Raises SpoolError."""
        body = await self._fit_body(message)
        if isinstance(body, Refused):
            return [body for _ in boxes]
        deliveries = [
            MaildirDelivery(box.root, box.path, make_prefix(message, one.recipient), body) for one, box in boxes
        ]
        outcomes: list[Outcome] = []
        for (one, _), problem in zip(boxes, await self._maildirs.deliver(deliveries), strict=True):
            if problem is not None:
                recipient = str(one.recipient.address)
                self._log.warning("maildir failed", id=message.id, recipient=recipient, error=str(problem))
            outcomes.append(_DELIVERED if problem is None else _UNAVAILABLE)
        return outcomes

    async def _fit_body(self, message: QueuedMessage) -> Body | Refused:
        """Binary octets become text (RFC 3030 §3)."""
        body = message.body
        if message.envelope.body is not BodyType.BINARYMIME:
            return body
        if body.size > _MAX_BINARY:
            return _TOO_LARGE
        data = body.inline if body.inline is not None else await body.read(0, body.size)
        result = await self._compute.run(partial(reencode, data, _MAILBOX))
        return result if isinstance(result, Refused) else InlineBody(result)
