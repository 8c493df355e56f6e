"""Which thread an email belongs to: by Message-ID, References and In-Reply-To together with the base subject.

RFC 8621 §3: emails share a thread when they name a common message id and their base subjects are equal. A thread has
the id of its first email. When an email shows that several threads are one, the lowest id stays and the emails of the
others move to it. Runs in the writer's thread, inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import cast

import apsw

from posthouse.adapters.sqlite.bulk import Value, insertion, padded
from posthouse.adapters.sqlite.store_book import EMAILS_CHANGED, THREADS_MERGED, AccountState, Book
from posthouse.adapters.sqlite.store_sql import compress, select_rows
from posthouse.message.mailbox import ThreadId
from posthouse.message.parsed import ParsedMessage, SortKeys
from posthouse.ms.threads import counting_ids, plan_thread, thread_subject

_INSERT_REFS = insertion("thread_ref", 4)
EMAILS_OF_THREAD = (
    "SELECT email AS n FROM email WHERE account = ?1 AND email = ?2 AND thread = ?2"
    " UNION ALL SELECT email FROM email WHERE account = ?1 AND thread = ?2 AND thread <> email"
)
_FIND = (
    "SELECT t.account, t.ref, t.subject, t.thread FROM json_each(?) k CROSS JOIN thread_ref t"
    " ON t.account = k.value ->> 0 AND t.ref = k.value ->> 1 AND t.subject = k.value ->> 2"
)

Key = tuple[int, int, int]  # account, hash of a message id, hash of the base subject


def hash_text(text: str) -> int:
    """A signed number of 64 bits."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def refs_of(message: ParsedMessage) -> tuple[list[int], int]:
    """The hashes of the message ids that count, and of the subject that must be the same."""
    return [hash_text(text) for text in counting_ids(message)], hash_text(thread_subject(message))


def refs_of_row(message_id: str, refs: str, base_subject: str) -> tuple[list[int], int]:
    """The same from the columns of `email`."""
    keys = SortKeys(None, base_subject, "", "", "", "", "")
    references = tuple(refs.split("\n")) if refs else ()
    return refs_of(ParsedMessage(0, 0, 0, b"", b"", (), b"", keys, message_id, references))


class ThreadFinder:
    """For one batch of additions. `find` once with all keys, `join` per email in order, `write`; then `thread_of`."""

    def __init__(self, connection: apsw.Connection, book: Book) -> None:
        self._connection = connection
        self._book = book
        self._threads: dict[Key, int] = {}
        self._fresh: list[Key] = []
        self._joined: dict[tuple[int, int], int] = {}  # account, email
        self._merged: dict[tuple[int, int], int] = {}  # account, thread that is no more

    def find(self, keys: Iterable[Key]) -> None:
        asked = ",".join([f"[{account},{ref},{subject}]" for account, ref, subject in keys])
        if not asked:
            return
        for row in select_rows(self._connection, "account, ref, subject, thread", _FIND, (f"[{asked}]",)):
            account, ref, subject, thread = cast("list[int]", row)
            self._threads[account, ref, subject] = thread

    def join(self, state: AccountState, email: int, refs: Sequence[int], subject: int) -> None:
        """Choose the thread of this new email; its references lead there from now on."""
        account, threads = state.account, self._threads
        keys = [(account, ref, subject) for ref in refs]
        planned = plan_thread([ThreadId(threads[key]) for key in keys if key in threads])
        thread = email if planned.thread is None else planned.thread
        if planned.merged:
            self._merge(state, thread, planned.merged)
        self._joined[account, email] = thread
        for key in keys:
            if key not in threads:
                threads[key] = thread
                self._fresh.append(key)

    def _merge(self, state: AccountState, into: int, losers: Sequence[int]) -> None:
        modseq = self._book.next_modseq(state)
        for loser in losers:
            moved = merge_thread(self._connection, state.account, into, loser)
            self._book.note_set(state, modseq, EMAILS_CHANGED, 0, compress(moved))
            self._merged[state.account, loser] = into
        self._book.note_set(state, modseq, THREADS_MERGED, 0, compress(sorted({into, *losers})))
        gone = set(losers)
        for key, thread in self._threads.items():
            if key[0] == state.account and thread in gone:
                self._threads[key] = into

    def thread_of(self, account: int, email: int) -> int:
        """After all have joined: a later email may have shown that two of the batch are one."""
        thread = self._joined[account, email]
        while (account, thread) in self._merged:
            thread = self._merged[account, thread]
        return thread

    def write(self) -> None:
        values: list[Value] = []
        for key in self._fresh:
            values += (*key, self._threads[key])
        for sql, bindings in padded(_INSERT_REFS, 4, values):
            self._connection.execute(sql, bindings)
        self._fresh = []


def merge_thread(connection: apsw.Connection, account: int, into: int, loser: int) -> list[int]:
    """The emails that moved. References that lead to the loser are those that its emails name."""
    rows = select_rows(
        connection,
        "email, message_id, refs, base_subject",
        f"SELECT email, message_id, refs, base_subject FROM email WHERE account = ?1 AND email IN"
        f" (SELECT n FROM ({EMAILS_OF_THREAD})) ORDER BY email",
        (account, loser),
    )
    for row in rows:
        email, message_id, refs, subject = cast("tuple[int, str, str, str]", tuple(row))
        connection.execute("UPDATE email SET thread = ? WHERE account = ? AND email = ?", (into, account, email))
        hashes, hashed = refs_of_row(message_id, refs, subject)
        for ref in hashes:
            connection.execute(
                "UPDATE thread_ref SET thread = ? WHERE account = ? AND ref = ? AND subject = ?",
                (into, account, ref, hashed),
            )
    return [cast(int, row[0]) for row in rows]
