"""Final delivery: what is put in front of a message for a mailbox, and what comes of it (RFC 5321 §4.4).

Used by the queue and by LMTP alike. Each recipient gets its own copy with Return-Path, Delivered-To and our
Received; a message that already carries a recipient's Delivered-To goes in circles and is refused (RFC 9228 §4).
A copy is on disk when its outcome says Delivered (ports/maildir); anything the disk or a path does not allow is a
temporary failure of that recipient alone. What the sender hears names no paths; the log does.

Does not route, look up people, or sort into folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from posthouse.message.address import Address
from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType
from posthouse.message.header import find_header_end, iterate_fields
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reencode import reencode
from posthouse.message.reply import Reply
from posthouse.message.trace import make_delivered_to, make_return_path
from posthouse.ports.compute import Compute
from posthouse.ports.maildir import MaildirDelivery, Maildirs
from posthouse.ports.observe import Log
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient, SpoolError

_MAX_HEAD = 262_144
_MAX_BINARY = 67_108_864
_DELIVERED = Delivered(Reply(250, "2.0.0", "Delivered to the mailbox"))
_LOOP = Refused(Reply(554, "5.4.6", "Mail for this recipient goes in circles"))
_UNAVAILABLE = Deferred(Reply(451, "4.3.0", "The mailbox cannot be written at the moment"))
_UNREADABLE = Deferred(Reply(451, "4.3.0", "The message cannot be read at the moment"))
_TOO_LARGE = Refused(Reply(554, "5.6.3", "Conversion required but not possible: the message is too large"))
_MAILBOX = HopCapabilities(
    eightbitmime=True, binarymime=False, smtputf8=True
)  # lines of a Maildir may change their end


class LocalMailboxes:
    """Delivers into Maildirs. `boxes` of `deliver` are (recipient, root, path) as routing gave them."""

    def __init__(self, maildirs: Maildirs, compute: Compute, log: Log) -> None:
        self._maildirs, self._compute, self._log = maildirs, compute, log

    async def deliver(self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, str, str]]) -> list[Outcome]:
        """One outcome for each box, in their order. Never raises for reasons of the disk."""
        try:
            body = await self._fit_body(message)
            if isinstance(body, Refused):
                return [body for _ in boxes]
            seen = await _read_delivered_to(body)
        except SpoolError as error:
            self._log.error("message unreadable", id=message.id, error=str(error))
            return [_UNREADABLE for _ in boxes]
        chosen = [box for box in boxes if not seen or _name(box[0].recipient.address) not in seen]
        failed = await self._write(message, body, chosen)
        outcomes: dict[int, Outcome] = {one.number: _DELIVERED for one, _, _ in chosen}
        outcomes.update((number, _UNAVAILABLE) for number in failed)
        return [outcomes.get(one.number, _LOOP) for one, _, _ in boxes]

    async def _write(
        self, message: QueuedMessage, body: Body, boxes: Sequence[tuple[QueuedRecipient, str, str]]
    ) -> list[int]:
        """The numbers of the recipients that did not get it."""
        return_path = make_return_path(message.envelope.sender)
        deliveries = [
            MaildirDelivery(
                root, path, b"".join((return_path, make_delivered_to(one.recipient.address), message.trace)), body
            )
            for one, root, path in boxes
        ]
        results = await self._maildirs.deliver(deliveries)
        failed = []
        for (one, _, _), problem in zip(boxes, results, strict=True):
            if problem is not None:
                failed.append(one.number)
                recipient = str(one.recipient.address)
                self._log.warning("maildir failed", id=message.id, recipient=recipient, error=str(problem))
        return failed

    async def _fit_body(self, message: QueuedMessage) -> Body | Refused:
        """Binary octets become text, as line ends do not stay what they are in a Maildir (RFC 3030 §3)."""
        body = message.body
        if message.envelope.body is not BodyType.BINARYMIME:
            return body
        if body.size > _MAX_BINARY:
            return _TOO_LARGE
        data = body.inline if body.inline is not None else await body.read(0, body.size)
        result = await self._compute.run(partial(reencode, data, _MAILBOX))
        return result if isinstance(result, Refused) else InlineBody(result)


def _name(address: Address) -> bytes:
    return str(address).lower().encode("utf-8", "replace")


async def _read_delivered_to(body: Body) -> frozenset[bytes]:
    """The addresses in the Delivered-To fields of a message, in lower case."""
    data = body.inline if body.inline is not None else await body.read(0, _MAX_HEAD)
    end = find_header_end(data)
    head = data[: end if end >= 0 else _MAX_HEAD].lower()
    if b"delivered-to:" not in head:
        return frozenset()
    fields = iterate_fields(head)
    return frozenset(head[each.value : each.end].strip(b" \t\r\n<>") for each in fields if each.name == b"delivered-to")
