"""Exporting: every mailbox of an account, message by message, to a sink. Reads in slices; memory is one slice.

A message in several mailboxes is written into each. Nothing is changed in the store; mail that comes or goes meanwhile
may or may not be in it. An export that was cut short goes on where the sink says it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId, KeywordTable, Mailbox, MailboxId
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.compute import Compute
from posthouse.ports.store import Blobs, EmailRow, Fields, Mailboxes, Messages
from posthouse.ports.transfer import Leaving, Report, Sink

_SLICE = 200
_SLICE_OCTETS = 8 << 20


@dataclass(frozen=True, slots=True)
class ExportParts:
    mailboxes: Mailboxes
    messages: Messages
    blobs: Blobs
    compute: Compute


@dataclass(slots=True)
class ExportResult:
    exported: int = 0
    octets: int = 0
    already: int = 0
    mailboxes: int = 0


class Exporter:
    def __init__(self, account: AccountId, parts: ExportParts, report: Report) -> None:
        self._account, self._parts, self._report = account, parts, report
        self._total = 0
        self.result = ExportResult()

    async def run(self, sink: Sink) -> ExportResult:
        """Raises TransferError, StoreError, NoSuchAccount."""
        boxes = await self._parts.mailboxes.list_all(self._account)
        paths = find_paths(boxes)
        self._total = sum(box.total for box in boxes)
        for box in boxes:
            await self._write_mailbox(sink, box, paths[box.id])
        await self._parts.compute.run(sink.finish)
        return self.result

    async def _write_mailbox(self, sink: Sink, box: Mailbox, path: tuple[str, ...]) -> None:
        last = await self._parts.compute.run(lambda: sink.open_mailbox(path))
        uids = list((await self._parts.messages.snapshot(self._account, box.id)).uids)
        wanted = [uid for uid in uids if uid > last]
        self.result.already += len(uids) - len(wanted)
        self.result.mailboxes += 1
        keywords = await self._parts.messages.keywords(self._account)
        for start in range(0, len(wanted), _SLICE):
            some = from_sorted(wanted[start : start + _SLICE])
            rows = await self._parts.messages.load(self._account, box.id, some, Fields.DATES)
            for piece in cut_rows(rows):
                await self._write_piece(sink, piece, keywords)

    async def _write_piece(self, sink: Sink, rows: Sequence[EmailRow], keywords: KeywordTable) -> None:
        bodies = await self._parts.blobs.read_many(self._account, [row.email for row in rows])
        leaving = [
            describe_row(row, octets, keywords) for row, octets in zip(rows, bodies, strict=True) if octets is not None
        ]
        await self._parts.compute.run(lambda: sink.write(leaving))
        self.result.exported += len(leaving)
        self.result.octets += sum(len(each.octets) for each in leaving)
        self._report(self.result.exported + self.result.already, self._total)


def cut_rows(rows: Sequence[EmailRow]) -> Iterator[Sequence[EmailRow]]:
    """As many as may be in memory at once."""
    start, octets = 0, 0
    for number, row in enumerate(rows):
        if octets and octets + row.size > _SLICE_OCTETS:
            yield rows[start:number]
            start, octets = number, 0
        octets += row.size
    yield rows[start:]


def describe_row(row: EmailRow, octets: bytes, keywords: KeywordTable) -> Leaving:
    assert row.placement is not None
    uid = int(row.placement.uid)
    flags = tuple(keywords.flags_of(row.placement.flags))
    return Leaving(f"{uid:010}.E{row.email}", uid, octets, flags, row.received, row.zone_minutes)


def find_paths(boxes: Sequence[Mailbox]) -> Mapping[MailboxId, tuple[str, ...]]:
    """From the top; parents come before their children."""
    paths: dict[MailboxId, tuple[str, ...]] = {}
    for box in boxes:
        paths[box.id] = (*(paths[box.parent] if box.parent is not None else ()), box.name)
    return paths
