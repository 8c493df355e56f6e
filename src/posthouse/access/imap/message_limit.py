"""MESSAGELIMIT (RFC 9738 §3.1): how many messages one command works on, where the administrator set a limit.

FETCH, STORE, MOVE and UID EXPUNGE work on the newest ones; COPY is all or none, so it is refused. SEARCH, which the
index answers, has no limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import No
from posthouse.access.imap.context import Context


def cut_to_limit(context: Context, uids: Sequence[int]) -> tuple[Sequence[int], bytes]:
    """The newest of these ascending UIDs, and the response code that names the oldest of them; b"" when all fit."""
    limit = context.desk.settings.message_limit
    if not limit or len(uids) <= limit:
        return uids, b""
    chosen = uids[-limit:]
    return chosen, b"MESSAGELIMIT %d %d" % (limit, chosen[0])


def refuse_beyond_limit(context: Context, uids: Sequence[int]) -> None:
    """Raises No."""
    limit = context.desk.settings.message_limit
    if limit and len(uids) > limit:
        raise No(f"At most {limit} messages at a time, none was copied", b"MESSAGELIMIT %d" % limit)
