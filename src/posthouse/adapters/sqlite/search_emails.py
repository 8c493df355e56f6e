"""Lists of emails for JMAP on the SQLite store (`Search.list_emails` of ports/store.py).

A mailbox by the time of receiving is answered from what the worker keeps of it (search_listing.py), conditions on
keywords too; conditions on size, dates and the like are asked of the mailbox's own search. Everything else is a search
of the account. Where texts have to be read, candidates are verified in the order asked for and no more of them than are
needed; where that was left, it goes on for the next part as long as nothing has changed in the account.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import apsw

from posthouse.adapters.sqlite.search_listing import Columns, KeptListings, read_everything
from posthouse.adapters.sqlite.search_matches import TextIndex, read_matches
from posthouse.adapters.sqlite.search_sql import Candidates, Scope
from posthouse.adapters.sqlite.search_verify import Key, Verifier
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_reader import read_keywords, read_modseq, read_threads_of
from posthouse.adapters.sqlite.store_thread_places import read_thread_map
from posthouse.message.mailbox import AccountId, KeywordTable, MailboxId, ModSeq
from posthouse.message.search import (
    All,
    And,
    Emails,
    HasAttachment,
    HasFlag,
    InMailbox,
    InThread,
    Larger,
    Not,
    Or,
    ReceivedAt,
    SearchKey,
    SentOn,
    Smaller,
    SortBy,
    SortKey,
)
from posthouse.ms.listings import Listed, Listing, collapse, find_ties, keep_only, turn_over
from posthouse.ms.search import join_and, plan_search, widen
from posthouse.ports.store import EmailList, Enough, NoSuchMailbox, SearchResult

_MANY = 2_000  # emails of which threads are looked for in all of the account's
_BROAD = 10_000  # candidates that are not put in order at once; fewer where the order of a mailbox is known
_BROAD_IN_MAILBOX = 1_000
_FIRST = 16  # candidates that are verified at least
_MOST_KEPT = 20_000  # candidates of a search that goes on
_MOST_RUNNING = 16
_PIECE = 1_000  # emails of which candidates are taken at once
_NO_OTHERS = 2**62  # beyond all emails
_OF_EMAIL = (ReceivedAt, Larger, Smaller, HasAttachment, InThread)  # the same in every mailbox

Test = Callable[[int], bool]
_Search = tuple[AccountId, SearchKey, tuple[SortBy, ...]]


class SearchMailbox(Protocol):
    async def __call__(self, account: AccountId, program: SearchKey, mailbox: MailboxId, /) -> SearchResult: ...


@dataclass(slots=True)
class _Running:
    """A search of which more may be asked. `keys`: candidates in order, verified up to `done` (without a verifier they
    are what is looked for). `order`: emails of which candidates are still to be taken, from `taken` on; None: `keys`
    are all of them. `emails` and `threads`: what was found so far.
    """

    modseq: ModSeq
    columns: SearchKey
    keys: list[Key]
    verifier: Verifier | None
    candidates: Candidates | None = None
    order: array[int] | None = None
    taken: int = 0
    done: int = 0
    emails: array[int] = field(default_factory=lambda: array("Q"))
    threads: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def has_more(self) -> bool:
        return self.order is not None and self.taken < len(self.order)

    @property
    def is_over(self) -> bool:
        return self.done >= len(self.keys) and not self.has_more

    def take(self) -> list[int]:
        """The next emails that may match."""
        assert self.order is not None
        piece = self.order[self.taken : self.taken + _PIECE].tolist()
        self.taken += len(piece)
        if self.candidates is None:
            return piece
        emails, through = self.candidates.emails, self.candidates.through
        return [email for email in piece if email in emails or email > through]


class EmailLister:
    """`search_mailbox`: `Search.search`."""

    def __init__(self, core: StoreCore, index: TextIndex | None, search_mailbox: SearchMailbox) -> None:
        self._core, self._index, self._search_mailbox = core, index, search_mailbox
        self._listings = KeptListings(core)
        self._running: OrderedDict[_Search, _Running] = OrderedDict()

    async def list_emails(
        self,
        account: AccountId,
        program: SearchKey,
        sort: Sequence[SortBy],
        *,
        collapses: bool,
        enough: Enough | None,
    ) -> EmailList:
        if _is_by_arrival(sort):
            found = await self._list_mailbox(account, program, sort, collapses=collapses, is_part=enough is not None)
            if found is not None:
                return found
        if plan_search(program).is_exact and (enough is None or not _is_by_arrival(sort)):
            return await self._list_exact(account, program, sort, collapses=collapses)
        return await self._list_part(account, program, sort, collapses=collapses, enough=enough)

    # -- from what is kept

    async def _list_mailbox(
        self, account: AccountId, program: SearchKey, sort: Sequence[SortBy], *, collapses: bool, is_part: bool
    ) -> EmailList | None:
        """None: it is no mailbox, or too much is asked of it. `is_part`: not all that match are wanted."""
        mailbox, others = split_mailbox(program)
        if mailbox is None or not all(_is_for_mailbox(key, is_part=is_part) for key in others):
            return None
        try:
            listing = await self._listings.get(account, mailbox)
        except NoSuchMailbox:
            return EmailList(await self._core.look(account, read_modseq), array("Q"), array("Q"))
        is_descending = sort[0].is_descending
        if not others:
            shown = listing.list_visible(is_descending=is_descending, collapses=collapses)
            return _make_list(listing.snapshot.modseq, shown)
        shown = listing.list_visible(is_descending=is_descending, collapses=False)
        for key in others:
            shown = await self._narrow(account, mailbox, listing, key, shown)
        return _make_list(listing.snapshot.modseq, collapse(shown) if collapses else shown)

    async def _narrow(
        self, account: AccountId, mailbox: MailboxId, listing: Listing, key: SearchKey, shown: Listed
    ) -> Listed:
        if isinstance(key, Emails):
            return keep_only(shown, key.ids)
        if isinstance(key, Not) and isinstance(key.of, Emails):
            return keep_only(shown, set(shown.emails).difference(key.of.ids))
        if _consists_of(key, (HasFlag,)):
            return keep_only(shown, await self._find_flagged(account, listing, key))
        found = await self._search_mailbox(account, key, mailbox)
        return keep_only(shown, set(found.emails))

    async def _find_flagged(self, account: AccountId, listing: Listing, key: SearchKey) -> set[int]:
        flags = await self._listings.flags(account, listing)
        test = compile_flags(key, await self._core.look(account, read_keywords))
        matching = {bits for bits in set(flags) if test(bits)}
        return {email for email, bits in zip(listing.emails, flags, strict=True) if bits in matching}

    # -- by columns

    async def _list_exact(
        self, account: AccountId, program: SearchKey, sort: Sequence[SortBy], *, collapses: bool
    ) -> EmailList:
        if isinstance(program, All) and _is_by_arrival(sort):
            modseq, (order, received, threads) = await self._core.read(account, _read_all)
            shown = Listed(order, threads)
            if sort[0].is_descending:
                shown = turn_over(shown, received, has_ties=find_ties(received))
            return _make_list(modseq, collapse(shown) if collapses else shown)
        matches = await self._core.read(account, read_matches, Scope(account), program, sort)
        emails = array("Q", [key[1] for key in matches.keys])
        shown = Listed(emails, await self._find_threads(account, emails))
        return _make_list(matches.modseq, collapse(shown) if collapses else shown)

    async def _find_threads(self, account: AccountId, emails: array[int]) -> array[int]:
        if len(emails) > _MANY:
            thread_of = await self._core.read(account, read_thread_map)
        else:
            thread_of = await self._core.read(account, read_threads_of, emails)
        return array("Q", map(thread_of.get, emails, emails))

    # -- as far as is needed

    async def _list_part(
        self, account: AccountId, program: SearchKey, sort: Sequence[SortBy], *, collapses: bool, enough: Enough | None
    ) -> EmailList:
        running = await self._open_running(account, program, sort)
        while True:
            listed = Listed(running.emails, running.threads)
            shown = collapse(listed) if collapses else listed
            missing = _count_missing(shown.emails, enough)
            if running.is_over or missing == 0:
                return EmailList(running.modseq, shown.emails[:], shown.threads[:], running.is_over)
            if running.done < len(running.keys):
                await self._verify(account, running, missing)
            else:
                await self._look_on(account, running, sort)

    async def _open_running(self, account: AccountId, program: SearchKey, sort: Sequence[SortBy]) -> _Running:
        key = account, program, tuple(sort)
        known = self._running.pop(key, None)
        if known is None or known.modseq != await self._core.look(account, read_modseq):
            known = await self._begin(account, program, sort)
        if len(known.keys) <= _MOST_KEPT:
            self._running[key] = known
            if len(self._running) > _MOST_RUNNING:
                self._running.popitem(last=False)
        return known

    async def _begin(self, account: AccountId, program: SearchKey, sort: Sequence[SortBy]) -> _Running:
        """Few candidates are put in order at once; many are taken in their order as they are needed."""
        scope, plan = Scope(account), plan_search(program)
        candidates = None
        if self._index is not None and not plan.is_exact:
            candidates = await self._index.find(account, program)
        columns = join_and([plan.columns, widen(program, lambda key: isinstance(key, SentOn), is_exact=False)])
        most = _BROAD if split_mailbox(program)[0] is None else _BROAD_IN_MAILBOX
        is_broad = candidates is None or len(candidates.emails) > most
        if is_broad and _is_by_arrival(sort):
            modseq = await self._core.look(account, read_modseq)
            keywords = await self._core.look(account, read_keywords)
            order = await self._find_order(account, program, sort)
            running = _Running(modseq, columns, [], None, candidates, order)
        else:
            matches = await self._core.read(account, read_matches, scope, columns, sort, candidates)
            running, keywords = _Running(matches.modseq, columns, matches.keys, None), matches.keywords
        if not plan.is_exact:
            running.verifier = Verifier(scope, program, keywords, self._core.shard(account).folder, ())
        return running

    async def _find_order(self, account: AccountId, program: SearchKey, sort: Sequence[SortBy]) -> array[int]:
        """Of all emails that may be meant."""
        mailbox, _ = split_mailbox(program)
        if mailbox is not None:
            with contextlib.suppress(NoSuchMailbox):
                listing = await self._listings.get(account, mailbox)
                return listing.list_visible(is_descending=sort[0].is_descending, collapses=False).emails
        _, (order, received, threads) = await self._core.read(account, _read_all)
        if sort[0].is_descending:
            order, _ = turn_over(Listed(order, threads), received, has_ties=find_ties(received))
        return order

    async def _look_on(self, account: AccountId, running: _Running, sort: Sequence[SortBy]) -> None:
        piece = running.take()
        if piece:
            wanted = Candidates(piece, _NO_OTHERS)
            matches = await self._core.read(account, read_matches, Scope(account), running.columns, sort, wanted)
            running.keys += matches.keys

    async def _verify(self, account: AccountId, running: _Running, missing: int | None) -> None:
        """The next candidates, at least some."""
        keys = running.keys
        if running.verifier is None:
            emails = array("Q", [email for _, email in keys[running.done :]])
            running.done = len(keys)
        else:
            if missing is not None:
                keys = keys[: running.done + max(missing, _FIRST)]
            found, running.done = await self._core.read(account, running.verifier.run, keys, running.done)
            emails = array("Q", [match.key[1] for match in found])
        running.threads.extend(await self._find_threads(account, emails))
        running.emails.extend(emails)


def _read_all(connection: apsw.Connection, account: AccountId) -> tuple[ModSeq, Columns]:
    return read_modseq(connection, account), read_everything(connection, account)


def _count_missing(emails: array[int], enough: Enough | None) -> int | None:
    """How many more are needed; None: all."""
    if enough is None:
        return None
    if enough.behind is None:
        return max(0, enough.count - len(emails))
    if enough.behind not in emails:
        return _FIRST
    return max(0, emails.index(enough.behind) + enough.count - len(emails))


def _make_list(modseq: ModSeq, listed: Listed) -> EmailList:
    return EmailList(modseq, listed.emails, listed.threads)


# -- programs


def split_mailbox(program: SearchKey) -> tuple[MailboxId | None, tuple[SearchKey, ...]]:
    """The mailbox that all that matches is in, and the other conditions."""
    keys = program.of if isinstance(program, And) else (program,)
    for place, key in enumerate(keys):
        if isinstance(key, InMailbox):
            return key.mailbox, keys[:place] + keys[place + 1 :]
    return None, keys


def _is_for_mailbox(key: SearchKey, *, is_part: bool) -> bool:
    """Whether the emails of a mailbox are narrowed by it without a look at texts or other mailboxes."""
    plain = key.of if isinstance(key, Not) else key
    if isinstance(plain, Emails) or _consists_of(key, (HasFlag,)):
        return True
    return not is_part and _consists_of(key, _OF_EMAIL)


def _is_by_arrival(sort: Sequence[SortBy]) -> bool:
    return len(sort) == 1 and sort[0].key is SortKey.ARRIVAL


def _consists_of(key: SearchKey, kinds: tuple[type, ...]) -> bool:
    match key:
        case Not(of):
            return _consists_of(of, kinds)
        case And(of) | Or(of):
            return all(_consists_of(part, kinds) for part in of)
        case _:
            return isinstance(key, kinds)


def compile_flags(key: SearchKey, keywords: KeywordTable) -> Test:
    """Of a program of HasFlag alone."""
    match key:
        case Not(of):
            inner = compile_flags(of, keywords)
            return lambda bits: not inner(bits)
        case And(of):
            tests = [compile_flags(part, keywords) for part in of]
            return lambda bits: all(test(bits) for test in tests)
        case Or(of):
            tests = [compile_flags(part, keywords) for part in of]
            return lambda bits: any(test(bits) for test in tests)
        case HasFlag(name):
            bit = keywords.bit_of(name) or 0
            return lambda bits: bool(bits & bit)
        case _:
            raise ValueError("no flag")
