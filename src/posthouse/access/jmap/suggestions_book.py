"""Addresses that an account's mail knows, for suggestions: whoever was written to counts much, whoever wrote little.

Each worker keeps those of the accounts that asked last, of their newest mail, and adds what has come since; nothing of
it is stored. What has been destroyed goes on counting until the worker lets go of it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest

from posthouse.access.jmap.header_forms import CONVENIENT, HeaderFields
from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, Role
from posthouse.message.search import InMailbox, SortBy, SortKey
from posthouse.ports.store import EmailRow, Enough, Fields, Store

MAX_ACCOUNTS = 64  # in a worker
MAX_ADDRESSES = 10_000  # of an account
_NEWEST_SENT, _NEWEST_RECEIVED = 2_000, 2_000  # emails that are looked at first
_MOST_NEW = 1_000  # emails since the last look
_SLICE = 100
_WRITTEN_TO = 10  # letters received are as much as one sent
_NO_WORD = re.compile(r"[^\w]+")
_UNWANTED = (Role.JUNK, Role.TRASH, Role.DRAFTS)
_NEWEST = [SortBy(SortKey.ARRIVAL, is_descending=True)]


@dataclass(slots=True)
class Known:
    """`words`: folded, each behind a space. `count`: letters to it and from it. `last`: the newest of them."""

    name: str
    email: str
    words: str
    count: int = 0
    weight: int = 0
    last: float = 0.0


class Book:
    """Of one account at `modseq`; unless it `is_torn`, and is read anew. Pure."""

    def __init__(self, modseq: ModSeq) -> None:
        self.modseq = modseq
        self.is_torn = False
        self._known: dict[str, Known] = {}

    def add(self, rows: Iterable[EmailRow], sent: frozenset[MailboxId], unwanted: frozenset[MailboxId]) -> None:
        for row in rows:
            fields = HeaderFields(row.head, 0, len(row.head))
            if not sent.isdisjoint(row.placements):
                for name in ("to", "cc", "bcc"):
                    self._note(fields.read(CONVENIENT[name]), row.received, _WRITTEN_TO)
            elif unwanted.isdisjoint(row.placements):
                self._note(fields.read(CONVENIENT["from"]), row.received, 1)
        if len(self._known) > MAX_ADDRESSES:
            best = nlargest(MAX_ADDRESSES * 3 // 4, self._known.items(), key=lambda item: _rank(item[1]))
            self._known = dict(best)

    def _note(self, addresses: object, received: float, weight: int) -> None:
        for one in addresses if isinstance(addresses, list) else ():
            email = one["email"]
            if "@" not in email:
                continue
            known = self._known.get(email.lower())
            if known is None:
                known = self._known[email.lower()] = Known("", email, _split_words("", email))
            if one["name"] and (received >= known.last or not known.name):
                known.name, known.words = one["name"], _split_words(one["name"], email)
            known.count += 1
            known.weight += weight
            known.last = max(known.last, received)

    def find(self, text: str, limit: int) -> list[Known]:
        """Those with words that begin as each of the text's, the best first."""
        wanted = _split_words(text, "").split()
        starts = [f" {word}" for word in wanted]
        found = [known for known in self._known.values() if all(start in known.words for start in starts)]
        return nlargest(limit, found, key=_rank)


def _rank(known: Known) -> tuple[int, float]:
    return known.weight, known.last


def _split_words(name: str, email: str) -> str:
    return f" {_NO_WORD.sub(' ', fold_case(f'{name} {email}')).strip()}"


class AddressBooks:
    """One per worker."""

    def __init__(self, max_accounts: int = MAX_ACCOUNTS) -> None:
        self._books: OrderedDict[AccountId, Book] = OrderedDict()
        self._max = max_accounts

    async def open(self, store: Store, owner: AccountId) -> Book:
        modseq = await store.changes.modseq(owner)
        book = self._books.get(owner)
        if book is None or not await _follow(store, owner, book, modseq):
            book = await _read_book(store, owner, modseq)
        self._books[owner] = book
        self._books.move_to_end(owner)
        if len(self._books) > self._max:
            self._books.popitem(last=False)
        return book


async def _follow(store: Store, owner: AccountId, book: Book, modseq: ModSeq) -> bool:
    """Whether the book is up to date now."""
    if book.modseq == modseq or book.is_torn:
        return not book.is_torn
    changes = await store.changes.in_account(owner, book.modseq)
    if not changes.is_complete:
        return False
    if book.modseq >= changes.modseq:  # somebody was quicker
        return not book.is_torn
    book.modseq = changes.modseq  # before anything waits: who asks meanwhile must not add the same
    try:
        await _add(store, owner, book, changes.created[-_MOST_NEW:])
    except BaseException:
        book.is_torn = True
        raise
    return True


async def _read_book(store: Store, owner: AccountId, modseq: ModSeq) -> Book:
    """Of what was sent last and of what came last into the inbox."""
    book = Book(modseq)
    boxes = {box.role: box.id for box in await store.mailboxes.list_all(owner)}
    for role, count in ((Role.SENT, _NEWEST_SENT), (Role.INBOX, _NEWEST_RECEIVED)):
        if role in boxes:
            found = await store.search.list_emails(owner, InMailbox(boxes[role]), _NEWEST, enough=Enough(count))
            await _add(store, owner, book, [EmailId(email) for email in found.emails[:count]])
    return book


async def _add(store: Store, owner: AccountId, book: Book, emails: Sequence[EmailId]) -> None:
    boxes = await store.mailboxes.list_all(owner)
    sent = frozenset(box.id for box in boxes if box.role is Role.SENT)
    unwanted = frozenset(box.id for box in boxes if box.role in _UNWANTED)
    for start in range(0, len(emails), _SLICE):
        rows = await store.messages.load_emails(owner, emails[start : start + _SLICE], Fields.DATES | Fields.HEAD)
        book.add(rows, sent, unwanted)
