"""LMTP: a message is delivered before it is answered, each recipient with its own reply (RFC 2033 §4.2).

Mailboxes get it at once: nothing of it is spooled, and no bounce is ever made for it, because the client still has
the message and hears 4xx or 5xx. What a route sends elsewhere goes into the queue and is answered when it is on
disk. After a crash before the answers the client sends again; what was delivered already is then there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, assert_never

from posthouse.message.address import Address
from posthouse.message.boxes import Box
from posthouse.message.outcome import Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.carrier import DISCARDED, Mailboxes
from posthouse.mta.outcomes import OutcomeNotes
from posthouse.mta.refusals import refusal_for
from posthouse.mta.targets import (
    STORE_SITE,
    AccountBox,
    Destination,
    Discarded,
    MaildirBox,
    Rejected,
    SmtpSite,
    Unroutable,
)
from posthouse.ports.clock import Clock
from posthouse.ports.spool import NewMessage, QueuedMessage, QueuedRecipient, Spool, SpoolError, Status


class Routes(Protocol):
    def route_now(self, address: Address) -> Destination | None: ...

    async def route(self, address: Address) -> Destination: ...


class Taker(Protocol):
    def take(self, message: QueuedMessage) -> None: ...


class LmtpDelivery:
    """One per worker; the `LocalDelivery` of mta/inbound.py."""

    def __init__(self, routes: Routes, mailboxes: Mailboxes, onward: Taker, notes: OutcomeNotes, clock: Clock) -> None:
        self._routes = routes
        self._mailboxes = mailboxes
        self._onward = onward
        self._notes = notes
        self._clock = clock

    async def deliver(self, new: NewMessage, spool: Spool) -> list[Reply]:
        """A reply for each recipient, in order."""
        message = as_queued(new)
        replies: dict[int, Reply] = {}
        boxes: list[tuple[QueuedRecipient, Box]] = []
        onward: list[QueuedRecipient] = []
        for one in message.recipients:
            address = one.recipient.address
            destination = self._routes.route_now(address) or await self._routes.route(address)
            if isinstance(destination, AccountBox | MaildirBox):
                one.next_hop = f"maildir:{destination.root}" if isinstance(destination, MaildirBox) else STORE_SITE
                boxes.append((one, destination))
            elif isinstance(destination, SmtpSite):
                onward.append(one)
            else:
                self._note(message, one, _outcome_of(destination), replies)
        if boxes:
            outcomes = await self._mailboxes.deliver(message, boxes)
            for (one, _), outcome in zip(boxes, outcomes, strict=True):
                self._note(message, one, outcome, replies)
        if onward:
            await self._queue(new, spool, onward, replies)
        return [replies[one.number] for one in message.recipients]

    def _note(self, message: QueuedMessage, one: QueuedRecipient, outcome: Outcome, replies: dict[int, Reply]) -> None:
        self._notes.note(message, one, outcome, self._clock.now())
        replies[one.number] = outcome.reply

    async def _queue(
        self, new: NewMessage, spool: Spool, onward: Sequence[QueuedRecipient], replies: dict[int, Reply]
    ) -> None:
        """What cannot be stored is put off for these recipients alone: the others have theirs already."""
        envelope = replace(new.envelope, recipients=tuple(one.recipient for one in onward))
        # In the queue they are counted anew.
        held = frozenset([place for place, one in enumerate(onward) if one.number in new.held_numbers])
        try:
            queued = await spool.accept(replace(new, envelope=envelope, held_numbers=held))
        except SpoolError as error:
            reply = refusal_for(error)
        else:
            self._onward.take(queued)
            reply = Reply(250, "2.0.0", f"Ok: queued as {queued.id}")
        replies.update((one.number, reply) for one in onward)


def _outcome_of(destination: Discarded | Rejected | Unroutable) -> Outcome:
    match destination:
        case Discarded():
            return DISCARDED
        case Rejected(reply):
            return Refused(reply)
        case Unroutable(outcome):
            return outcome
    assert_never(destination)


def as_queued(new: NewMessage) -> QueuedMessage:
    """A message as the queue would show it, for delivery that does not go through the spool."""
    recipients = [
        QueuedRecipient(number, recipient, Status.WAITING, new.first_retry)
        for number, recipient in enumerate(new.envelope.recipients)
    ]
    return QueuedMessage(new.id, new.envelope, recipients, new.trace, new.body, new.arrived, new.source, new.message_id)
