"""One copy in Sent: when a program uploads its own copy of what the server has filed, the program's takes its place.

`file_upload` is what IMAP APPEND calls for the mailbox whose role is Sent. The upload is stored first and the server's
copy expunged then: a crash in between leaves both, never none. A copy that waits in Scheduled stays there, with a mark
that it is not to be put into Sent when it goes. Matched by Message-ID, and by the octets without Bcc
and without what programs note for themselves; what differs is another message and is simply stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, MailboxId, Uid, UidRange
from posthouse.msa.handover import COPY_IN_SENT
from posthouse.msa.header import Unfit, repair_head, split_message
from posthouse.ports.clock import Clock
from posthouse.ports.login import Login, SaveSent
from posthouse.ports.observe import Log
from posthouse.ports.store import (
    Added,
    Addition,
    Blobs,
    EmailRow,
    Fields,
    FlagEdit,
    FlagMode,
    Messages,
    StoreError,
    StoreRefusal,
    Submission,
    Submissions,
    SubmissionState,
)

_LOOK_BACK = 50  # submissions
_LOOK_BACK_S = 86400.0


@dataclass(frozen=True, slots=True)
class SentParts:
    submissions: Submissions
    messages: Messages
    blobs: Blobs
    clock: Clock
    log: Log


def normalise(octets: bytes) -> tuple[str, bytes] | None:
    """Message-ID and what was, or would be, sent; None when it has no Message-ID or Date to be known by."""
    try:
        head, body = split_message(octets)
    except Unfit:
        return None
    fixed = repair_head(head, Instant(0.0), lambda: "<>")
    return (fixed.message_id, fixed.wire + octets[body:]) if fixed.is_known else None


async def file_upload(parts: SentParts, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
    """Store `addition`, which is `octets`, and take the server's copy of it away. Raises as `Messages.add`."""
    filed = None
    if login.save_sent is SaveSent.AUTO:
        filed = await find_filed_copy(parts, login.account, mailbox, octets)
    (added,) = await parts.messages.add(login.account, [addition])
    if filed is not None:
        try:
            await _yield_to_upload(parts, login.account, mailbox, octets, filed)
        except (StoreError, StoreRefusal) as error:
            parts.log.warning("copy in Sent is doubled", account=login.name, error=str(error))
    return added


@dataclass(frozen=True, slots=True)
class Filed:
    """Where the server's copy is. `is_waiting`: in Scheduled, and will come into Sent."""

    mailbox: MailboxId
    uid: Uid
    is_waiting: bool


async def find_filed_copy(parts: SentParts, account: AccountId, mailbox: MailboxId, octets: bytes) -> Filed | None:
    """The server's own copy of this message: in that mailbox, or where it waits."""
    wanted = normalise(octets)
    if wanted is None:
        return None
    since = parts.clock.now() - _LOOK_BACK_S
    for one in await parts.submissions.list_newest(account, _LOOK_BACK):
        if one.message_id != wanted[0] or one.email is None or one.created < since:
            continue
        rows = await parts.messages.load_emails(account, [one.email], Fields.NONE)
        filed = _find_place(one, rows[0], mailbox) if rows else None
        if filed is not None and normalise(await parts.blobs.read(account, one.email)) == wanted:
            return filed
    return None


def _find_place(one: Submission, row: EmailRow, mailbox: MailboxId) -> Filed | None:
    """What is pending and has a time lies in Scheduled alone."""
    placement = row.placements.get(mailbox)
    if placement is not None:
        return Filed(mailbox, placement.uid, is_waiting=False)
    if one.state is not SubmissionState.PENDING or not one.send_at:
        return None
    return next((Filed(box, each.uid, is_waiting=True) for box, each in row.placements.items()), None)


async def _yield_to_upload(
    parts: SentParts, account: AccountId, mailbox: MailboxId, octets: bytes, filed: Filed
) -> None:
    if filed.is_waiting:
        edit = FlagEdit(FlagMode.ADD, frozenset({COPY_IN_SENT}))
        await parts.messages.set_flags(account, filed.mailbox, (UidRange(filed.uid, filed.uid),), edit)
        found = await find_filed_copy(parts, account, mailbox, octets)  # its time may have come just now
        if found is None or found.is_waiting:
            return
        filed = found
    await _take_away(parts, account, mailbox, filed.uid)


async def _take_away(parts: SentParts, account: AccountId, mailbox: MailboxId, uid: Uid) -> None:
    uids = (UidRange(uid, uid),)
    await parts.messages.set_flags(account, mailbox, uids, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
    await parts.messages.expunge(account, mailbox, uids)
