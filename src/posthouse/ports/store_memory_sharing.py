"""Access lists and annotations of the store's fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.ports.store import Grant, TooMany
from posthouse.ports.store_memory_mailboxes import Reading, find_box
from posthouse.ports.store_memory_state import AccountState, Box, Notes
from posthouse.ports.store_sharing import MAX_ENTRIES, MAX_ENTRY_OCTETS, MAX_GRANTS, is_private, order_rights


class MemorySharing:
    """`accounts` are all there are, for `owners`."""

    def __init__(self, read: Reading, write: Reading, accounts: Mapping[AccountId, AccountState]) -> None:
        self._read, self._write, self._accounts = read, write, accounts

    async def grants(self, account: AccountId, mailbox: MailboxId) -> list[Grant]:
        return _sorted(find_box(self._read(account), mailbox))

    async def all_grants(self, account: AccountId) -> dict[MailboxId, tuple[Grant, ...]]:
        boxes = self._read(account).boxes
        return {number: tuple(_sorted(box)) for number, box in boxes.items() if box.grants}

    async def set_grant(self, account: AccountId, mailbox: MailboxId, grant: Grant) -> None:
        state = self._write(account)
        box = find_box(state, mailbox)
        key = (grant.grantee, grant.is_negative)
        wanted = Grant(grant.grantee, order_rights(grant.rights), grant.is_negative)
        if box.grants.get(key, Grant(grant.grantee, "", grant.is_negative)) == wanted:
            return
        if wanted.rights and key not in box.grants and len(box.grants) >= MAX_GRANTS:
            raise TooMany("grants")
        if wanted.rights:
            box.grants[key] = wanted
        else:
            del box.grants[key]
        state.change_mailbox(state.begin(), box, box.mailbox)

    async def owners(self, grantee: AccountId) -> list[AccountId]:
        return sorted(
            account for account, state in self._accounts.items() if account != grantee and _is_shared(state, grantee)
        )


def _sorted(box: Box) -> list[Grant]:
    return sorted(box.grants.values(), key=lambda grant: (grant.grantee or 0, grant.is_negative))


def _is_shared(state: AccountState, grantee: AccountId) -> bool:
    return any((who, False) in box.grants for box in state.boxes.values() for who in (None, grantee))


class MemoryAnnotations:
    def __init__(self, read: Reading, write: Reading) -> None:
        self._read, self._write = read, write

    async def read(self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId) -> dict[str, bytes]:
        state = self._read(account)
        return _visible(state.notes if mailbox is None else find_box(state, mailbox).notes, viewer)

    async def read_many(
        self, account: AccountId, mailboxes: Sequence[MailboxId], viewer: AccountId
    ) -> dict[MailboxId, dict[str, bytes]]:
        boxes = self._read(account).boxes
        found = {number: _visible(boxes[number].notes, viewer) for number in mailboxes if number in boxes}
        return {number: entries for number, entries in found.items() if entries}

    async def write(
        self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId, entries: Mapping[str, bytes | None]
    ) -> None:
        state = self._write(account)
        box = None if mailbox is None else find_box(state, mailbox)
        notes = state.notes if box is None else box.notes
        fresh = dict(notes)
        for entry, value in entries.items():
            key = (viewer if is_private(entry) else None, entry)
            if value is None:
                fresh.pop(key, None)
            else:
                fresh[key] = bytes(value)
        if fresh == notes:
            return
        _check_size(fresh, notes)
        notes.clear()
        notes.update(fresh)
        modseq = state.begin()
        if box is not None:
            state.change_mailbox(modseq, box, box.mailbox)


def _visible(notes: Notes, viewer: AccountId) -> dict[str, bytes]:
    return {entry: value for (owner, entry), value in sorted(notes.items(), key=_by_name) if owner in (None, viewer)}


def _by_name(item: tuple[tuple[AccountId | None, str], bytes]) -> str:
    return item[0][1]


def _check_size(fresh: Notes, old: Notes) -> None:
    """What makes less of it is never too many."""
    if len(fresh) > max(MAX_ENTRIES, len(old)) or _octets(fresh) > max(MAX_ENTRY_OCTETS, _octets(old)):
        raise TooMany("annotations")


def _octets(notes: Notes) -> int:
    return sum(len(entry.encode()) + len(value) for (_, entry), value in notes.items())
