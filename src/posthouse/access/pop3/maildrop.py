"""A maildrop (RFC 1939 §5): the INBOX of an account as it was at the login, numbered from 1.

Nothing that comes or goes later changes it. Messages that are \\Deleted are not in it: a program for IMAP has thrown
them away. Sizes are those of the octets that RETR gives. DELE and RETR only mark; `commit`, at QUIT, makes it so: a
session that ends in another way has changed nothing. After a crash in `commit` some of the messages may have gone and
others may be \\Deleted, never one that was not marked.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator, Mapping

from posthouse.access.pop3.uidls import make_uidls
from posthouse.message.mailbox import AccountId, EmailId, Flag, MailboxId, Role, UidRange, UidSet, UidValidity
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.store import Fields, FlagEdit, FlagMode, Store

_HIDDEN = int(Flag.DELETED)
_ROWS = 500
_SEEN = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
_DELETED = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))


class Maildrop:
    """Places are numbers of messages less one. `octets` and `count` are of those that are not marked as deleted."""

    __slots__ = (
        "_emails",
        "_mailbox",
        "_retrieved",
        "_sizes",
        "_store",
        "_uidls",
        "_uids",
        "_validity",
        "account",
        "deleted",
        "octets",
    )

    def __init__(self, store: Store, account: AccountId, mailbox: MailboxId, validity: UidValidity) -> None:
        self._store = store
        self.account = account
        self._mailbox = mailbox
        self._validity = validity
        self._uids = array("I")
        self._sizes = array("Q")
        self._emails = array("Q")
        self._uidls: list[str] | None = None
        self._retrieved: set[int] = set()
        self.deleted: set[int] = set()
        self.octets = 0

    @property
    def count(self) -> int:
        return len(self._uids) - len(self.deleted)

    def has(self, place: int) -> bool:
        return 0 <= place < len(self._uids) and place not in self.deleted

    def size(self, place: int) -> int:
        return self._sizes[place]

    def email(self, place: int) -> EmailId:
        return EmailId(self._emails[place])

    def places(self) -> Iterator[int]:
        """Those that are not marked as deleted."""
        return (place for place in range(len(self._uids)) if place not in self.deleted)

    def delete(self, place: int) -> None:
        self.deleted.add(place)
        self.octets -= self._sizes[place]

    def reset(self) -> None:
        """RSET: nothing is deleted, and nothing was retrieved."""
        self.deleted.clear()
        self._retrieved.clear()
        self.octets = sum(self._sizes)

    def note_retrieved(self, place: int) -> None:
        self._retrieved.add(place)

    async def uidls(self) -> list[str]:
        """By place."""
        if self._uidls is None:
            imported: Mapping[int, str] = {}
            self._uidls = make_uidls(self._validity, self._uids, imported)
        return self._uidls

    async def commit(self, *, marks_seen: bool) -> None:
        """UPDATE (RFC 1939 §6). Messages that others have removed are no failure. Raises StoreError, StoreRefusal."""
        messages, account, mailbox = self._store.messages, self.account, self._mailbox
        seen = self._uid_set(self._retrieved - self.deleted) if marks_seen else ()
        if seen:
            await messages.set_flags(account, mailbox, seen, _SEEN)
        gone = self._uid_set(self.deleted)
        if gone:
            await messages.set_flags(account, mailbox, gone, _DELETED)
            await messages.expunge(account, mailbox, gone)

    def _uid_set(self, places: set[int]) -> UidSet:
        return from_sorted([self._uids[place] for place in sorted(places)])

    async def load(self) -> None:
        snapshot = await self._store.messages.snapshot(self.account, self._mailbox)
        shown = [uid for uid, flags in zip(snapshot.uids, snapshot.flags, strict=True) if not flags & _HIDDEN]
        for start in range(0, len(shown), _ROWS):
            part = shown[start : start + _ROWS]
            uids = (UidRange(part[0], part[-1]),)
            rows = await self._store.messages.load(self.account, self._mailbox, uids, Fields.DATES)
            for row in rows:
                assert row.placement is not None
                if not row.placement.flags & _HIDDEN:
                    self._uids.append(row.placement.uid)
                    self._sizes.append(row.size)
                    self._emails.append(row.email)
            await asyncio.sleep(0)
        self.octets = sum(self._sizes)


async def open_maildrop(store: Store, account: AccountId) -> Maildrop:
    """Raises StoreError, StoreRefusal."""
    mailbox = await store.mailboxes.open_role(account, Role.INBOX)
    maildrop = Maildrop(store, account, mailbox.id, mailbox.uidvalidity)
    await maildrop.load()
    return maildrop
