"""A maildrop (RFC 1939 §5): the INBOX of an account as it was at the login, numbered from 1.

Nothing that comes or goes later changes it. Messages that are \\Deleted are not in it: a program for IMAP has thrown
them away. Sizes are those of the octets that RETR gives. DELE and RETR only mark; `commit`, at QUIT, makes it so: a
session that ends in another way has changed nothing. After a crash in `commit` some of the messages may have gone and
others may be \\Deleted, never one that was not marked.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from posthouse.access.pop3.uidls import make_uidls
from posthouse.message.mailbox import AccountId, EmailId, Flag, Mailbox, MailboxId, Role, UidRange, UidSet, UidValidity
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.store import FlagEdit, FlagMode, Store, WireColumn

_HIDDEN = int(Flag.DELETED)
_ROWS = 20_000  # read at once
_COLUMNS = (WireColumn.EMAIL, WireColumn.SIZE)
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

    def list_small(self, place: int, octets: int, count: int) -> list[int]:
        """`place` and those behind it that are not deleted, `count` and `octets` at most in all."""
        found: list[int] = []
        for each in range(place, min(place + count, len(self._uids))):
            octets -= self._sizes[each]
            if octets < 0:
                break
            if each not in self.deleted:
                found.append(each)
        return found

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
            imported = await self._store.messages.uidls(self.account, self._mailbox)
            self._uidls = make_uidls(self._validity, self._uids, {int(uid): given for uid, given in imported.items()})
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

    async def load(self, mailbox: Mailbox) -> None:
        """`mailbox` as it is now."""
        messages = self._store.messages
        hidden: frozenset[int] = frozenset()
        if mailbox.deleted:
            snapshot = await messages.snapshot(self.account, self._mailbox)
            flags = zip(snapshot.uids, snapshot.flags, strict=True)
            hidden = frozenset([uid for uid, bits in flags if bits & _HIDDEN])
        for uids in _slice(mailbox):
            rows = await messages.wire(self.account, self._mailbox, (uids,), _COLUMNS)
            kept = [row for row in rows if row[0] not in hidden] if hidden else rows
            self._uids.extend([row[0] for row in kept])
            self._emails.extend([row[1] for row in kept])
            self._sizes.extend([row[2] for row in kept])
        self.octets = sum(self._sizes)


def _slice(mailbox: Mailbox) -> Iterator[UidRange]:
    """Ranges of UIDs with about `_ROWS` messages in each."""
    width = mailbox.uidnext * _ROWS // max(mailbox.total, 1) + 1
    for low in range(1, mailbox.uidnext, width):
        yield UidRange(low, min(low + width, mailbox.uidnext) - 1)


async def open_maildrop(store: Store, account: AccountId) -> Maildrop:
    """Raises StoreError, StoreRefusal."""
    mailbox = await store.mailboxes.open_role(account, Role.INBOX)
    maildrop = Maildrop(store, account, mailbox.id, mailbox.uidvalidity)
    await maildrop.load(mailbox)
    return maildrop
