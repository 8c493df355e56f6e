"""What THREAD needs of the messages of a mailbox: few columns of the emails, nothing of their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import apsw
import msgspec

from posthouse.adapters.sqlite.store_reader import read_mailbox_state
from posthouse.adapters.sqlite.store_sql import placements_in
from posthouse.message.mailbox import AccountId, MailboxId, Uid
from posthouse.ms.thread_trees import ThreadRow
from posthouse.ms.uidsets import from_sorted

_Row = tuple[int, "int | None", int, str, str, str, bytes]

_COLUMNS = "p.uid, e.sent, e.received, e.base_subject, e.message_id, e.refs, e.facts"
_read_facts = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw, int, msgspec.Raw]).decode
_IS_REPLY = 1


def read_thread_rows(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid]
) -> list[ThreadRow]:
    """Ascending. Raises NoSuchMailbox."""
    read_mailbox_state(connection, account, mailbox)
    source, bound = placements_in(from_sorted(uids))
    tables, _, where = source.partition(" WHERE ")
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {tables} CROSS JOIN email e ON e.account = ?1 AND e.email = p.email"
        f" WHERE {where} ORDER BY p.uid",
        (account, mailbox, bound),
    ).fetchall()
    return [_as_row(row) for row in cast("list[_Row]", rows)]


def _as_row(row: _Row) -> ThreadRow:
    uid, sent, received, subject, message_id, refs, facts = row
    _, _, flags, _ = _read_facts(facts)
    return ThreadRow(
        uid,
        (received if sent is None else sent) / 1e6,
        received / 1e6,
        subject,
        bool(flags & _IS_REPLY),
        message_id,
        tuple(refs.split("\n")) if refs else (),
    )
