"""One copy in Sent: when a program uploads its own copy of what the server has filed, the program's takes its place.

`file_upload` is what IMAP APPEND calls for the mailbox whose role is Sent. The upload is stored first and the server's
copy expunged then: a crash in between leaves both, never none. Matched by Message-ID, and by the octets without Bcc
and without what programs note for themselves; what differs is another message and is simply stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, MailboxId, Uid, UidRange
from posthouse.msa.header import Unfit, repair_head, split_message
from posthouse.ports.clock import Clock
from posthouse.ports.login import Login, SaveSent
from posthouse.ports.observe import Log
from posthouse.ports.store import (
    Added,
    Addition,
    Blobs,
    Fields,
    FlagEdit,
    FlagMode,
    Messages,
    StoreError,
    StoreRefusal,
    Submissions,
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
            await _take_away(parts, login.account, mailbox, filed)
        except (StoreError, StoreRefusal) as error:
            parts.log.warning("copy in Sent is doubled", account=login.name, error=str(error))
    return added


async def find_filed_copy(parts: SentParts, account: AccountId, mailbox: MailboxId, octets: bytes) -> Uid | None:
    """The server's own copy of this message in that mailbox."""
    wanted = normalise(octets)
    if wanted is None:
        return None
    since = parts.clock.now() - _LOOK_BACK_S
    for one in await parts.submissions.list_newest(account, _LOOK_BACK):
        if one.message_id != wanted[0] or one.email is None or one.created < since:
            continue
        rows = await parts.messages.load_emails(account, [one.email], Fields.NONE)
        placement = rows[0].placements.get(mailbox) if rows else None
        if placement is not None and normalise(await parts.blobs.read(account, one.email)) == wanted:
            return placement.uid
    return None


async def _take_away(parts: SentParts, account: AccountId, mailbox: MailboxId, uid: Uid) -> None:
    uids = (UidRange(uid, uid),)
    await parts.messages.set_flags(account, mailbox, uids, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
    await parts.messages.expunge(account, mailbox, uids)
