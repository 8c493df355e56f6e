"""Vacation answers of a worker: what mda/vacation.py needs, and the way of an answer into the queue."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.config.settings import Settings
from posthouse.mda.vacation import Vacation, VacationParts
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.header import inspect_head
from posthouse.message.instant import Instant
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.observe import Journal, Log
from posthouse.ports.spool import InlineBody, NewMessage, QueuedMessage, Spool

_SOURCE = "vacation"


class Onward(Protocol):
    """The side that delivers (mta/runner.py)."""

    def first_retry(self, now: Instant, octets: int) -> Instant: ...

    def take(self, message: QueuedMessage) -> None: ...


@dataclass(frozen=True, slots=True)
class QueueOutgoing:
    """An `Outgoing` of mda/vacation.py. `spool` is the shard for new mail (raises SpoolError)."""

    spool: Callable[[], Spool]
    onward: Onward
    directory: Directory
    clock: Clock
    journal: Journal

    async def queue(self, envelope: Envelope, octets: bytes) -> str:
        spool, now = self.spool(), self.clock.now()
        named = envelope.recipients
        ends = [Recipient(target, one.notify) for one in named for target in self.directory.expand(one.address)]
        new = NewMessage(
            spool.reserve_id(),
            replace(envelope, recipients=tuple(ends)),
            b"",
            InlineBody(octets),
            now,
            self.onward.first_retry(now, len(octets)),
            source=_SOURCE,
            message_id=inspect_head(octets).message_id,
        )
        message = await spool.accept(new)
        recipients = [str(one.address) for one in ends]
        self.journal.record(
            "received",
            message.id,
            sender="",
            recipients=recipients,
            size=message.size,
            peer=_SOURCE,
            message_id=new.message_id,
        )
        self.onward.take(message)
        return message.id


def make_vacation(
    settings: Settings, store: SqliteStore, accounts: Accounts, outgoing: QueueOutgoing, log: Log
) -> Vacation:
    return Vacation(
        VacationParts(
            store.records,
            store.answered,
            accounts,
            outgoing,
            outgoing.clock,
            log,
            partial(secrets.token_hex, 12),
            settings.hostname,
            settings.delivery.vacation_interval.total_seconds(),
        )
    )
