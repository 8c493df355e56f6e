"""URLs of CATENATE (RFC 4469): messages and parts of the user's own mailboxes, or of those the user may read.

A URL that cannot be had is `NO [BADURL "..."]`, whatever the reason: it tells nobody what is there.
"""

from __future__ import annotations

import re

from posthouse.access.imap.answers import No
from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching_sections import Facts, Wanted, locate
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import find_place
from posthouse.message.mailbox import UidRange
from posthouse.message.wire_strings import write_string
from posthouse.ports.store import EmailRow, Fields, StoreRefusal
from posthouse.protocol.imap.url import MessageUrl, UrlError, parse_url
from posthouse.protocol.imap.values import Text

_SECTION = re.compile(
    r"(?P<part>[1-9][0-9]*(?:\.[1-9][0-9]*)*)?(?:(?(part)\.)(?P<text>HEADER|TEXT|MIME))?", re.IGNORECASE
)


async def fetch_url(context: Context, text: str) -> bytes:
    """The octets a URL names. Raises No."""
    try:
        url = parse_url(text)
        place = await _find_place(context, url)
        octets = await _fetch(context, place, url)
    except (UrlError, No, StoreRefusal):
        octets = None
    if octets is None:
        shown = write_string(text.encode("ascii", "replace").replace(b"\r", b"").replace(b"\n", b"")[:900])
        raise No("That URL names nothing that could be taken", b"BADURL %b" % shown)
    return octets


async def _find_place(context: Context, url: MessageUrl) -> Place:
    if url.user and url.user.lower() != context.user.name.lower():
        raise UrlError("Somebody else's")
    if url.mailbox:
        place = await find_place(context, url.mailbox)
    elif context.selected is not None:
        place = context.selected.place
    else:
        raise UrlError("No mailbox is selected")
    if url.uidvalidity is not None and url.uidvalidity != place.mailbox.uidvalidity:
        raise UrlError("UIDVALIDITY is another")
    place.need("r")
    return place


async def _fetch(context: Context, place: Place, url: MessageUrl) -> bytes | None:
    store = context.desk.store
    uids = (UidRange(url.uid, url.uid),)
    rows = await store.messages.load(place.owner, place.mailbox.id, uids, Fields.STRUCTURE)
    if not rows:
        return None
    octets = await store.blobs.read(place.owner, rows[0].email)
    found = _cut(octets, rows[0], url.section)
    if found is None or url.start is None:
        return found
    return found[url.start : None if url.count is None else url.start + url.count]


def _cut(octets: bytes, row: EmailRow, section: str) -> bytes | None:
    """A section of RFC 9051 §6.4.5.1 but for lists of fields, which nobody composes a message from."""
    if not section:
        return octets
    found = _SECTION.fullmatch(section)
    if found is None or row.message is None:
        return None
    part, text = found["part"] or "", Text((found["text"] or "").upper())
    if text is Text.MIME and not part:
        return None
    message, prefix = row.message, row.prefix_size
    facts = Facts(row.email, len(octets), prefix, prefix + message.header_size, message.parts)
    span = locate(Wanted(b"", part, text), facts)
    return None if span is None else octets[span.start : span.stop]
