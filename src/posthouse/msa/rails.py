"""What must not go out because it lies in the Outbox: rails for "put it in the folder and it goes" (sending.md 10).

Pure. For those who let programs append to an Outbox (IMAP): ask `refuse_for_outbox` for each message before anything
of the command is stored; the text of the reply begins with the enhanced code.
"""

from __future__ import annotations

from posthouse.message.dates import parse_date
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply
from posthouse.msa.header import Unfit, split_message

OUTBOX_IS_OFF = Reply(550, "5.7.1", "Sending by the Outbox is off for this account")
MAX_AT_ONCE = 20
MAX_AGE_S = 3 * 86400.0
_DELIVERED = (b"received", b"delivered-to", b"return-path")


def refuse_for_outbox(data: bytes, count: int, now: Instant, *, is_on: bool) -> Reply | None:
    """`data`: header at least. `count`: messages of the whole command. `is_on`: the account turned its Outbox on."""
    if not is_on:
        return OUTBOX_IS_OFF
    if count > MAX_AT_ONCE:
        return Reply(550, "5.7.1", f"The Outbox takes {MAX_AT_ONCE} messages at a time, these are {count}")
    try:
        head, _ = split_message(data)
    except Unfit as unfit:
        return unfit.reply
    if not head.block and any(True for name in _DELIVERED for _ in head.values(name)):
        return Reply(550, "5.7.1", "This message was delivered once; resend it to send it again")
    written = parse_date(head.first(b"resent-date" if head.block else b"date"))
    if written is not None and written.instant < now - MAX_AGE_S:
        return Reply(550, "5.7.1", "This message was written more than 3 days ago")
    return None
