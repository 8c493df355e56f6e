"""An account's mail, or one mailbox, as one stream of octets. Memory: a slice of messages, whoever slow reads.

Each slice is read when the client has taken the one before it; nothing of the store is held in between. Mail that comes
or goes meanwhile may or may not be in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Protocol

from posthouse.manage.transfer_export import ExportParts, cut_rows, describe_row, find_paths
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.store import Fields
from posthouse.ports.transfer import Leaving

_SLICE = 100


class ExportForm(Protocol):
    """How messages are written. Takes processor time."""

    def write(self, path: tuple[str, ...], messages: Sequence[Leaving]) -> bytes: ...

    def finish(self) -> bytes: ...


async def export_mail(
    account: AccountId, parts: ExportParts, form: ExportForm, mailbox: MailboxId | None = None
) -> AsyncIterator[bytes]:
    """Raises StoreError, NoSuchAccount."""
    boxes = await parts.mailboxes.list_all(account)
    paths = find_paths(boxes)
    for box in boxes:
        if mailbox is None or box.id == mailbox:
            async for messages in _read_mailbox(account, parts, box):
                yield await parts.compute.run(partial(form.write, paths[box.id], messages))
    yield await parts.compute.run(form.finish)


async def _read_mailbox(account: AccountId, parts: ExportParts, box: Mailbox) -> AsyncIterator[list[Leaving]]:
    uids = list((await parts.messages.snapshot(account, box.id)).uids)
    keywords = await parts.messages.keywords(account)
    for start in range(0, len(uids), _SLICE):
        some = from_sorted(uids[start : start + _SLICE])
        for rows in cut_rows(await parts.messages.load(account, box.id, some, Fields.DATES)):
            bodies = await parts.blobs.read_many(account, [row.email for row in rows])
            pairs = zip(rows, bodies, strict=True)
            yield [describe_row(row, octets, keywords) for row, octets in pairs if octets is not None]
