"""What the writer of a shard knows of accounts and mailboxes: read once, changed in memory, written per transaction.

Good as long as nobody else has committed: `PRAGMA data_version` is asked at the begin of each transaction. All of it
runs in the writer's thread. After a failed transaction it is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.bulk import Value, padded, per_size
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.store_sql import JsonRow, numbers_json, read_number, select_numbers
from posthouse.message.mailbox import (
    FIRST_KEYWORD_BIT,
    MAX_KEYWORDS,
    ROLE_NAMES,
    SYSTEM_FLAGS,
    Mailbox,
    MailboxId,
    ModSeq,
    Role,
    Uid,
    UidRange,
    UidSet,
    UidValidity,
)
from posthouse.ports.store import NoSuchAccount, NoSuchMailbox, TooMany

MAX_MAILBOXES = 10_000
_MAX_ACCOUNTS = 5_000  # in memory

ACCOUNT_COLUMNS = (
    "account, modseq, next_email, next_mailbox, next_submission, next_uidvalidity, emails, octets, horizon, removed"
)
MAILBOX_COLUMNS = (
    "account, mailbox, parent, name, role, uidvalidity, uidnext, modseq, created, changed, total, unseen, deleted,"
    " octets, subscribed, sort_order"
)
# All of some accounts in one step: one hand-over of the interpreter lock, not three.
_LOAD = f"""WITH wanted AS MATERIALIZED (SELECT value FROM json_each(?)) SELECT '['
|| (SELECT json_group_array(json_array({ACCOUNT_COLUMNS})) FROM account WHERE account IN wanted) || ','
|| (SELECT json_group_array(json_array({MAILBOX_COLUMNS})) FROM mailbox WHERE account IN wanted) || ','
|| (SELECT json_group_array(json_array(account, name))
FROM (SELECT account, name FROM keyword WHERE account IN wanted ORDER BY account, bit)) || ']'"""
_read_groups = msgspec.json.Decoder(list[list[JsonRow]]).decode
_SAVE_ACCOUNTS = per_size("REPLACE INTO account SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL", 10)
_SAVE_MAILBOXES = per_size(
    "UPDATE mailbox SET uidnext = v.column3, modseq = v.column4, total = v.column5, unseen = v.column6,"
    " deleted = v.column7, octets = v.column8"
    " FROM (VALUES {rows}) AS v WHERE account = v.column1 AND mailbox = v.column2",
    8,
)
_INSERT_MAILBOX = f"INSERT INTO mailbox ({MAILBOX_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_CHANGES = per_size(
    "INSERT INTO change SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
    " ON CONFLICT DO UPDATE SET high = max(high, excluded.high)",
    6,
)

# Kinds of `change`.
FLAGS_CHANGED, EXPUNGED, EMAILS_DESTROYED, EMAILS_CHANGED = 1, 2, 3, 4
MAILBOX_CHANGED, MAILBOX_REMOVED, SUBMISSIONS_CHANGED, THREADS_MERGED = 5, 6, 7, 8
RECORDS_CHANGED = 9  # how many; which ones, the rows say

_SYSTEM_BITS = {name.lower(): int(flag) for name, flag in SYSTEM_FLAGS.items()}


class MailboxState:
    """A row of `mailbox`, its counters changed in place."""

    __slots__ = (
        "changed",
        "created",
        "deleted",
        "is_dirty",
        "mailbox",
        "modseq",
        "name",
        "octets",
        "parent",
        "role",
        "sort_order",
        "subscribed",
        "total",
        "uidnext",
        "uidvalidity",
        "unseen",
    )

    def __init__(self, row: Iterable[Any]) -> None:
        (
            self.mailbox,
            self.parent,
            self.name,
            self.role,
            self.uidvalidity,
            self.uidnext,
            self.modseq,
            self.created,
            self.changed,
            self.total,
            self.unseen,
            self.deleted,
            self.octets,
            self.subscribed,
            self.sort_order,
        ) = cast("tuple[int, int, str, str | None, int, int, int, int, int, int, int, int, int, int, int]", tuple(row))
        self.is_dirty = False

    def as_value(self) -> Mailbox:
        return Mailbox(
            MailboxId(self.mailbox),
            MailboxId(self.parent) if self.parent else None,
            self.name,
            Role(self.role) if self.role else None,
            UidValidity(self.uidvalidity),
            Uid(self.uidnext),
            ModSeq(self.modseq),
            ModSeq(self.created),
            ModSeq(self.changed),
            self.total,
            self.unseen,
            self.deleted,
            self.octets,
            bool(self.subscribed),
            self.sort_order,
        )


class AccountState:
    __slots__ = (
        "account",
        "emails",
        "horizon",
        "is_dirty",
        "keywords",
        "mailboxes",
        "modseq",
        "next_email",
        "next_mailbox",
        "next_submission",
        "next_uidvalidity",
        "octets",
        "removed",
        "roles",
    )

    def __init__(self, row: Iterable[Any]) -> None:
        (
            self.account,
            self.modseq,
            self.next_email,
            self.next_mailbox,
            self.next_submission,
            self.next_uidvalidity,
            self.emails,
            self.octets,
            self.horizon,
            self.removed,
        ) = cast("tuple[int, int, int, int, int, int, int, int, int, int | None]", tuple(row))
        self.mailboxes: dict[int, MailboxState] = {}
        self.roles: dict[str, MailboxState] = {}
        self.keywords: list[str] = []
        self.is_dirty = False

    def add_mailbox(self, mailbox: MailboxState) -> None:
        self.mailboxes[mailbox.mailbox] = mailbox
        if mailbox.role:
            self.roles[mailbox.role] = mailbox

    def mailbox(self, mailbox: int) -> MailboxState:
        found = self.mailboxes.get(mailbox)
        if found is None:
            raise NoSuchMailbox(f"no mailbox {mailbox}")
        return found

    def child(self, parent: int, name: str) -> MailboxState | None:
        for mailbox in self.mailboxes.values():
            if mailbox.parent == parent and mailbox.name == name:
                return mailbox
        return None


class Book:
    """`now_us` of the transaction is set by the scribe."""

    def __init__(self) -> None:
        self._accounts: dict[int, AccountState] = {}
        self._dirty: list[AccountState] = []
        self._dirty_mailboxes: list[tuple[int, MailboxState]] = []
        self._changes: list[Value] = []
        self._version = -1
        self.now_us = 0
        self.touched: dict[int, AccountState] = {}
        self.patches: list[FlagsPatch] = []

    def begin(self, connection: apsw.Connection, now_us: int) -> None:
        """At the start of a transaction."""
        self.now_us = now_us
        version = read_number(connection, "PRAGMA data_version")
        if version != self._version or len(self._accounts) > _MAX_ACCOUNTS:
            self.clear()
            self._version = cast(int, version)

    def clear(self) -> None:
        self._accounts.clear()
        self._dirty.clear()
        self._dirty_mailboxes.clear()
        self._changes.clear()
        self.patches.clear()

    # Accounts.

    def load(self, connection: apsw.Connection, accounts: Iterable[int]) -> None:
        """Those not known yet; those that have no row get one, with INBOX."""
        missing = {account for account in accounts if account not in self._accounts}
        if not missing:
            return
        found = connection.execute(_LOAD, (numbers_json(missing),)).get
        rows, mailboxes, keywords = _read_groups(cast(str, found))
        for row in rows:
            state = AccountState(row)
            self._accounts[state.account] = state
            missing.discard(state.account)
        for row in mailboxes:
            self._accounts[cast(int, row[0])].add_mailbox(MailboxState(row[1:]))
        for row in keywords:
            self._accounts[cast(int, row[0])].keywords.append(cast(str, row[1]))
        for number in missing:
            self._make_account(connection, number)

    def _make_account(self, connection: apsw.Connection, account: int) -> None:
        state = AccountState((account, 0, 1, 1, 1, self.now_us // 1_000_000, 0, 0, 0, None))
        self._accounts[account] = state
        self.mark(state)
        self.make_mailbox(connection, state, 0, ROLE_NAMES[Role.INBOX], Role.INBOX)

    def account(self, connection: apsw.Connection, account: int) -> AccountState:
        """Raises NoSuchAccount."""
        state = self.removed_account(connection, account)
        if state.removed is not None:
            raise NoSuchAccount(f"account {account} was removed")
        return state

    def removed_account(self, connection: apsw.Connection, account: int) -> AccountState:
        """Removed or not: for erasing it."""
        state = self._accounts.get(account)
        if state is None:
            self.load(connection, (account,))
            state = self._accounts[account]
        return state

    def mark(self, state: AccountState) -> None:
        if not state.is_dirty:
            state.is_dirty = True
            self._dirty.append(state)

    def mark_mailbox(self, state: AccountState, mailbox: MailboxState) -> None:
        if not mailbox.is_dirty:
            mailbox.is_dirty = True
            self._dirty_mailboxes.append((state.account, mailbox))

    def next_modseq(self, state: AccountState) -> int:
        state.modseq += 1
        self.mark(state)
        return state.modseq

    def forget(self, account: int) -> None:
        """After `flush`, when its rows were changed behind this."""
        self._accounts.pop(account, None)

    # Mailboxes.

    def make_mailbox(
        self, connection: apsw.Connection, state: AccountState, parent: int, name: str, role: Role | None
    ) -> MailboxState:
        """The caller has checked name and place."""
        if len(state.mailboxes) >= MAX_MAILBOXES:
            raise TooMany(f"mailboxes: at most {MAX_MAILBOXES}")
        uidvalidity = max(state.next_uidvalidity, self.now_us // 1_000_000)
        state.next_uidvalidity = uidvalidity + 1
        modseq = self.next_modseq(state)
        number = state.next_mailbox
        state.next_mailbox += 1
        made = MailboxState(
            (number, parent, name, role and role.value, uidvalidity, 1, modseq, modseq, modseq, 0, 0, 0, 0, 1, 0)
        )
        connection.execute(
            _INSERT_MAILBOX,
            (state.account, number, parent, name, made.role, uidvalidity, 1, modseq, modseq, modseq, 0, 0, 0, 0, 1, 0),
        )
        state.add_mailbox(made)
        self.note(state, modseq, MAILBOX_CHANGED, number, ((number, number),))
        return made

    def open_role(self, connection: apsw.Connection, state: AccountState, role: Role) -> MailboxState:
        """Made at first need; one of the role's usual name takes the role."""
        found = state.roles.get(role.value)
        if found is not None:
            return found
        found = state.child(0, ROLE_NAMES[role])
        if found is None:
            return self.make_mailbox(connection, state, 0, ROLE_NAMES[role], role)
        if found.role is None:
            found.role, found.changed = role.value, self.next_modseq(state)
            connection.execute(
                "UPDATE mailbox SET role = ?, changed = ? WHERE account = ? AND mailbox = ?",
                (found.role, found.changed, state.account, found.mailbox),
            )
            state.roles[role.value] = found
            self.note(state, found.changed, MAILBOX_CHANGED, found.mailbox, ((found.mailbox, found.mailbox),))
            return found
        return self.make_mailbox(connection, state, 0, self._free_name(state, ROLE_NAMES[role]), role)

    @staticmethod
    def _free_name(state: AccountState, name: str) -> str:
        number = 2
        while state.child(0, f"{name} {number}") is not None:
            number += 1
        return f"{name} {number}"

    # Changes and keywords.

    def note(
        self, state: AccountState, modseq: int, kind: int, mailbox: int, ranges: Iterable[tuple[int, int]]
    ) -> None:
        """A row of `change` per range."""
        for low, high in ranges:
            self._changes += (state.account, modseq, kind, mailbox, low, high)

    def note_set(self, state: AccountState, modseq: int, kind: int, mailbox: int, ranges: UidSet) -> None:
        self.note(state, modseq, kind, mailbox, ((r.low, r.high) for r in ranges))

    def flag_bits(self, connection: apsw.Connection, state: AccountState, names: Iterable[str], *, make: bool) -> int:
        """As bits. Keywords the account does not have are made, or passed over. Raises TooMany."""
        bits = 0
        for name in names:
            folded = name.lower()
            bit = _SYSTEM_BITS.get(folded)
            if bit is None:
                bit = self._keyword_bit(connection, state, name, folded, bits if make else None)
            bits |= bit
        return bits

    def _keyword_bit(
        self, connection: apsw.Connection, state: AccountState, name: str, folded: str, taken: int | None
    ) -> int:
        """`taken`: bits that go to placements together with this one; None: none is made."""
        for number, known in enumerate(state.keywords):
            if known.lower() == folded:
                return 1 << (FIRST_KEYWORD_BIT + number)
        if taken is None:
            return 0
        number = len(state.keywords)
        if number < MAX_KEYWORDS:
            state.keywords.append(name)
        else:
            number = self._free_bit(connection, state, taken)
            state.keywords[number] = name
        connection.execute("REPLACE INTO keyword VALUES (?, ?, ?)", (state.account, FIRST_KEYWORD_BIT + number, name))
        return 1 << (FIRST_KEYWORD_BIT + number)

    @staticmethod
    def _free_bit(connection: apsw.Connection, state: AccountState, taken: int) -> int:
        """Of a keyword that no placement has, nor will have by the same flags."""
        used = taken
        for flags in select_numbers(
            connection,
            "SELECT DISTINCT flags AS n FROM placement WHERE account = ?1 UNION"
            " SELECT gone_flags FROM email WHERE account = ?1 AND gone IS NOT NULL AND gone_flags IS NOT NULL",
            (state.account,),
        ):
            used |= flags
        for number in range(MAX_KEYWORDS):
            if not used >> (FIRST_KEYWORD_BIT + number) & 1:
                return number
        raise TooMany(f"keywords: at most {MAX_KEYWORDS}")

    # The end of a unit.

    def flush(self, connection: apsw.Connection) -> None:
        """Everything marked and noted becomes rows."""
        if self._dirty:
            accounts: list[Value] = []
            for state in self._dirty:
                state.is_dirty = False
                self.touched[state.account] = state
                accounts += (
                    state.account,
                    state.modseq,
                    state.next_email,
                    state.next_mailbox,
                    state.next_submission,
                    state.next_uidvalidity,
                    state.emails,
                    state.octets,
                    state.horizon,
                    state.removed,
                )
            self._dirty.clear()
            _write(connection, _SAVE_ACCOUNTS, 10, accounts)
        if self._dirty_mailboxes:
            mailboxes: list[Value] = []
            for account, box in self._dirty_mailboxes:
                box.is_dirty = False
                mailboxes += (
                    account,
                    box.mailbox,
                    box.uidnext,
                    box.modseq,
                    box.total,
                    box.unseen,
                    box.deleted,
                    box.octets,
                )
            self._dirty_mailboxes.clear()
            _write(connection, _SAVE_MAILBOXES, 8, mailboxes)
        if self._changes:
            _write(connection, _INSERT_CHANGES, 6, self._changes)
            self._changes.clear()


def _write(connection: apsw.Connection, statements: dict[int, str], columns: int, values: list[Value]) -> None:
    for sql, bindings in padded(statements, columns, values):
        connection.execute(sql, bindings)


def one(number: int) -> UidSet:
    return (UidRange(number, number),)
