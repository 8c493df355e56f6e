"""EXPUNGE (RFC 9051 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1): needs the right `e` (RFC 4314 §4).

What goes is told as news, by EXPUNGE or VANISHED; with QRESYNC the answer has the new HIGHESTMODSEQ (RFC 7162 §3.2.9).
A message that goes from Scheduled is not sent: the store sees to that.
"""

from __future__ import annotations

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.message_limit import cut_to_limit
from posthouse.access.imap.sending import removing
from posthouse.access.imap.updates import tell_news
from posthouse.ms.uidsets import from_sorted, select
from posthouse.protocol.imap.commands import Expunge


async def expunge(context: Context, request: Expunge) -> Done:
    selected = context.must_be_writable()
    place = selected.place
    place.need("e")
    uids, code = None, b""
    if request.uids is not None:
        chosen, code = cut_to_limit(context, select(selected.view.uids, selected.uids_of(request.uids, is_uid=True)))
        uids = from_sorted(chosen)
    async with removing(context, place):
        await context.wait_patiently(context.desk.store.messages.expunge(place.owner, place.mailbox.id, uids))
    await tell_news(context)
    return Done("Expunged", code or context.highest_code())
