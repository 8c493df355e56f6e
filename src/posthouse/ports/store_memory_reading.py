"""Changes, search and quotas of the store's fake."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId, EmailId, Flag, MailboxChange, MailboxId, ModSeq, ThreadId, Uid
from posthouse.message.parsed import SortKeys
from posthouse.message.search import SearchKey, SortBy, SortKey
from posthouse.ms.search import EmailFacts, compile_search, score
from posthouse.ms.sort import sort_rows
from posthouse.ms.texts import MessageTexts
from posthouse.ms.thread_trees import Forest, ThreadBy, ThreadRow, build_threads, list_parents
from posthouse.ms.threads import counting_ids
from posthouse.ms.uidsets import from_list
from posthouse.ports.store import AccountChanges, EmailList, Enough, SearchResult, Usage
from posthouse.ports.store_memory_mailboxes import Reading, find_box
from posthouse.ports.store_memory_state import AccountState, Box, Email, Kind, Record
from posthouse.ports.store_threads import ThreadPlaces


@dataclass(frozen=True, slots=True)
class MemorySubscription:
    state: AccountState
    number: int

    def cancel(self) -> None:
        self.state.watchers.pop(self.number, None)


class MemoryChanges:
    def __init__(self, read: Reading) -> None:
        self._read = read

    async def modseq(self, account: AccountId) -> ModSeq:
        return self._read(account).modseq

    async def in_mailbox(
        self, account: AccountId, mailbox: MailboxId, since: ModSeq, viewer: AccountId | None = None
    ) -> MailboxChange:
        state = self._read(account)
        box = find_box(state, mailbox)
        rows = [row for row in box.rows.values() if row.modseq > since]
        records = [item for item in state.since(since) if item.mailbox == mailbox and item.kind is Kind.WENT]
        return MailboxChange(
            state.modseq,
            box.mailbox.uidnext,
            box.mailbox.modseq,
            array("I", [row.uid for row in rows]),
            array("Q", [state.flags_for(box, row, viewer) for row in rows]),
            array("Q", [row.modseq for row in rows]),
            from_list(uid for record in records for uid in record.uids),
            state.horizon <= since <= state.modseq,
        )

    async def in_account(self, account: AccountId, since: ModSeq) -> AccountChanges:
        state = self._read(account)
        changes = AccountChanges(state.modseq, is_complete=state.horizon <= since <= state.modseq)
        if changes.is_complete:
            records = state.since(since)
            _sort_emails(state, records, since, changes)
            _sort_mailboxes(state, records, since, changes)
            changes.submissions_changed = sorted({r.submission for r in records if r.kind is Kind.SUBMISSION})
        return changes

    def watch(self, account: AccountId, callback: Callable[[], None]) -> MemorySubscription:
        state = self._read(account)
        return MemorySubscription(state, state.add_watcher(callback))


def _sort_emails(state: AccountState, records: list[Record], since: ModSeq, changes: AccountChanges) -> None:
    threads: set[ThreadId] = {thread for record in records for thread in record.threads}
    last = {number: record.modseq for record in records for number in record.emails}
    for number in sorted({number for record in records for number in record.emails}):
        email = state.emails.get(number)
        is_visible = email is not None and bool(state.visible(email))
        email = email or state.gone[number]
        if not is_visible and email.created <= since and email.hidden > since:
            changes.destroyed.append(number)
            threads.add(email.thread)
        elif is_visible and email.shown > since:
            changes.created.append(number)
            changes.emails_at[number] = email.shown
            threads.add(email.thread)
        elif is_visible:
            changes.updated.append(number)
            changes.emails_at[number] = last[number]
    changes.threads_changed = sorted(threads)


def _sort_mailboxes(state: AccountState, records: list[Record], since: ModSeq, changes: AccountChanges) -> None:
    for number in sorted({record.mailbox for record in records if record.mailbox}):
        box = state.boxes.get(number)
        if box is None:
            if state.unmade[number] <= since:
                changes.mailboxes_destroyed.append(number)
        elif box.mailbox.created > since:
            changes.mailboxes_created.append(number)
        elif box.mailbox.changed > since:
            changes.mailboxes_updated.append(number)
        else:
            changes.mailboxes_counted.append(number)


@dataclass(slots=True)
class _Found:
    """A match on its way through the sort."""

    email: EmailId
    uid: Uid
    received: float
    size: int
    keys: SortKeys
    relevance: float


class MemorySearch:
    def __init__(self, read: Reading) -> None:
        self._read = read

    async def search(
        self,
        account: AccountId,
        program: SearchKey,
        mailbox: MailboxId | None = None,
        sort: Sequence[SortBy] = (),
        viewer: AccountId | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SearchResult:
        state = self._read(account)
        facts = _all_facts(state) if mailbox is None else _box_facts(state, find_box(state, mailbox), viewer)
        matches = compile_search(program, state.table())
        found = [_make_found(state, program, item) for item in facts if matches(item)]
        if progress is not None:
            progress(len(found), len(found))
        ordered = sort_rows(found, sort)
        uids = [] if mailbox is None else [item.uid for item in ordered]
        is_ranked = any(by.key is SortKey.RELEVANCY for by in sort)
        scores = [item.relevance for item in ordered] if is_ranked else []
        return SearchResult([item.email for item in ordered], uids, state.modseq, scores)

    async def list_emails(
        self,
        account: AccountId,
        program: SearchKey,
        sort: Sequence[SortBy] = (),
        *,
        collapses: bool = False,
        enough: Enough | None = None,
    ) -> EmailList:
        """All of them, whatever is enough."""
        found = await self.search(account, program, None, sort)
        emails = self._read(account).emails
        listed = {number: emails[number].thread for number in found.emails}
        if collapses:
            first: dict[ThreadId, EmailId] = {}
            for number, thread in listed.items():
                first.setdefault(thread, number)
            listed = {number: thread for thread, number in first.items()}
        return EmailList(found.modseq, array("Q", listed), array("Q", listed.values()))

    async def threads(
        self, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid], by: ThreadBy
    ) -> tuple[list[Uid], Forest]:
        state = self._read(account)
        box = find_box(state, mailbox)
        placed = [(uid, box.rows[uid]) for uid in uids if uid in box.rows]
        rows = [_make_thread_row(uid, state.emails[placement.email]) for uid, placement in placed]
        return [uid for uid, _ in placed], build_threads(rows, by)


def _make_thread_row(uid: Uid, email: Email) -> ThreadRow:
    message = email.message
    sent = email.received if message.keys.sent is None else message.keys.sent
    return ThreadRow(
        uid,
        sent,
        email.received,
        message.keys.base_subject,
        message.is_reply_or_forward,
        message.message_id,
        list_parents(message.references, message.reply_ids),
    )


def _box_facts(state: AccountState, box: Box, viewer: AccountId | None) -> Iterator[EmailFacts]:
    for row in box.rows.values():
        email = state.emails[row.email]
        facts = _make_facts(email, state.flags_for(box, row, viewer))
        facts.uid, facts.modseq, facts.saved = row.uid, row.modseq, (row.saved,)
        facts.mailboxes = {mailbox for mailbox, _ in email.places}
        yield facts


def _all_facts(state: AccountState) -> Iterator[EmailFacts]:
    for _, email in sorted(state.emails.items()):
        flags = state.merged_flags(email)
        if flags is None:
            continue
        visible = state.visible(email)
        facts = _make_facts(email, flags)
        facts.modseq = max(row.modseq for row in visible.values())
        facts.saved = tuple(row.saved for row in visible.values())
        facts.mailboxes = set(visible)
        yield facts


def _make_facts(email: Email, flags: int) -> EmailFacts:
    texts = MessageTexts(email.message, len(email.prefix), lambda: email.octets)
    return EmailFacts(
        email.id,
        email.thread,
        0,
        (),
        flags,
        0,
        (),
        email.received,
        email.zone_minutes,
        email.size,
        email.message.has_attachment,
        texts,
    )


def _make_found(state: AccountState, program: SearchKey, facts: EmailFacts) -> _Found:
    keys = state.emails[facts.email].message.keys
    return _Found(facts.email, Uid(facts.uid), facts.received, facts.size, keys, score(program, facts))


class MemoryQuotas:
    def __init__(self, read: Reading, has_room: Callable[[AccountId, int, int], bool]) -> None:
        self._read, self._has_room = read, has_room

    async def usage(self, account: AccountId) -> Usage:
        state = self._read(account)
        return Usage(len(state.emails), state.octets)

    def has_room(self, account: AccountId, octets: int) -> bool:
        return self._has_room(account, 1, octets)


class MemoryThreads:
    def __init__(self, read: Reading) -> None:
        self._read = read

    async def places(self, account: AccountId) -> ThreadPlaces:
        return _find_places(self._read(account), None)

    async def places_of(
        self, account: AccountId, threads: Sequence[ThreadId], emails: Sequence[EmailId]
    ) -> tuple[set[ThreadId], ThreadPlaces]:
        state = self._read(account)
        named = {*threads, *[state.emails[email].thread for email in emails if email in state.emails]}
        return named, _find_places(state, named)

    async def naming(self, account: AccountId, message_id: str) -> list[ThreadId]:
        emails = self._read(account).emails.values()
        return sorted({email.thread for email in emails if message_id in counting_ids(email.message)})


def _find_places(state: AccountState, wanted: set[ThreadId] | None) -> ThreadPlaces:
    places = ThreadPlaces()
    for email in state.emails.values():
        if wanted is not None and email.thread not in wanted:
            continue
        for mailbox, placement in state.visible(email).items():
            places.there.setdefault(mailbox, set()).add(email.thread)
            if not placement.flags & (Flag.SEEN | Flag.DRAFT):
                places.unread.setdefault(mailbox, set()).add(email.thread)
    return places
