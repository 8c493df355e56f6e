"""SORT and UID SORT (RFC 5256 §3) with SORT=DISPLAY (RFC 5957), ESORT and CONTEXT=SORT (RFC 5267)."""

from __future__ import annotations

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.searching import answer_search
from posthouse.protocol.imap.commands import Sort


async def sort(context: Context, request: Sort) -> Done:
    return await answer_search(context, request, b"SORT")
