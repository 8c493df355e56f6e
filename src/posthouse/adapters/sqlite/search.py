"""Search on the SQLite store: exact whatever the text index has seen; without one it reads the text.

What memory knows of a mailbox is answered there (search_known.py): flags, dates, sizes, texts of header fields. Of the
rest, a program of columns alone is one statement. One that asks for more text has its candidates narrowed by columns
and by the index, then each is verified with its text (search_verify.py), slice by slice; mail that is not indexed yet
is a candidate. Between slices nothing is held, so a long search is in nobody's way and may be cancelled. Only rows of
the account are looked at, and the index is asked for those of the account only. Writes nothing.

A mailbox is searched as it was when its snapshot was taken: what comes while the search runs is not found, and the
result says so by its modseq.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from typing import cast

from posthouse.adapters.sqlite.search_emails import EmailLister
from posthouse.adapters.sqlite.search_kept import EMAILS, THREADS, KeptColumns, read_thread_rows
from posthouse.adapters.sqlite.search_known import Memory, list_kinds
from posthouse.adapters.sqlite.search_matches import Matches, TextIndex, read_keys, read_matches
from posthouse.adapters.sqlite.search_rank import Term, list_terms, rank
from posthouse.adapters.sqlite.search_sql import Scope, select_sorted
from posthouse.adapters.sqlite.search_verify import Key, Match, Verifier
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, Snapshot, Uid
from posthouse.message.search import All, SearchKey, SentOn, SortBy, SortKey
from posthouse.ms.search import join_and, plan_search, widen
from posthouse.ms.thread_trees import Forest, ThreadBy, ThreadRow, build_threads
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.store import EmailList, Enough, SearchResult

Progress = Callable[[int, int], None]

_SLICE = 500  # emails per read
_FEW = 500  # messages that SQL sorts as fast
_MANY = 10_000  # messages whose threads are built beside the loop
_MOST_SORTED = 20_000  # messages whose order is worked out in the event loop


class SqliteSearch:
    def __init__(self, core: StoreCore, index: TextIndex | None = None) -> None:
        self._core, self._index = core, index
        self._kept = KeptColumns(core)
        self._lister = EmailLister(core, index, self.search)

    async def search(
        self,
        account: AccountId,
        program: SearchKey,
        mailbox: MailboxId | None = None,
        sort: Sequence[SortBy] = (),
        viewer: AccountId | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        scope = Scope(account, mailbox, None if viewer == account else viewer)
        if mailbox is None:
            return await self._search(scope, program, sort, progress)
        snapshot = await self._core.snapshots.get(account, mailbox, scope.viewer)
        if any(by.key is SortKey.RELEVANCY for by in sort) or not self._kept.can_hold(len(snapshot.uids)):
            return await self._search(scope, program, sort, progress)
        columns = {
            kind.name: await self._kept.column(account, mailbox, snapshot.uids, kind) for kind in list_kinds(program)
        }
        left = All() if isinstance(program, All) else Memory(snapshot, columns).answer(program)
        if isinstance(left, All | set):
            return await self._list_known(scope, snapshot, left, sort)
        found = await self._search(scope, left, (), progress)
        keys = [key for key in zip(found.uids, found.emails, strict=True) if key[0] < snapshot.uidnext]
        ordered = await self._order(scope, snapshot, keys, sort) if sort else keys
        return _make_result(scope, snapshot.modseq, ordered)

    async def list_emails(
        self,
        account: AccountId,
        program: SearchKey,
        sort: Sequence[SortBy] = (),
        *,
        collapses: bool = False,
        enough: Enough | None = None,
    ) -> EmailList:
        return await self._lister.list_emails(account, program, sort, collapses=collapses, enough=enough)

    async def _list_known(
        self, scope: Scope, snapshot: Snapshot, wanted: All | set[int], sort: Sequence[SortBy]
    ) -> SearchResult:
        """What the snapshot itself answers."""
        assert scope.mailbox is not None
        emails = await self._kept.column(scope.account, scope.mailbox, snapshot.uids, EMAILS)
        if isinstance(wanted, set):
            uids = [uid for uid in snapshot.uids if uid in wanted and uid in emails]
        elif len(emails) == len(snapshot.uids):
            uids = snapshot.uids.tolist()
        else:  # some went meanwhile
            uids = [uid for uid in snapshot.uids if uid in emails]
        if sort and _is_sorted_here(len(uids), snapshot):
            order = await self._kept.order(scope.account, scope.mailbox, snapshot.uids, sort)
            chosen = set(uids)
            uids = [uid for uid in order if uid in chosen] if len(chosen) < len(order) else order[:]
        elif sort:
            keys = [(uid, emails[uid]) for uid in uids]
            uids = [uid for uid, _ in await self._sort(scope, keys, [0.0] * len(keys), sort)]
        return SearchResult(list(map(emails.__getitem__, uids)), cast("list[Uid]", uids), snapshot.modseq)

    async def _order(
        self, scope: Scope, snapshot: Snapshot, keys: Sequence[Key], sort: Sequence[SortBy]
    ) -> Sequence[Key]:
        if scope.mailbox is None or not _is_sorted_here(len(keys), snapshot):
            return await self._sort(scope, keys, [0.0] * len(keys), sort)
        email_of = dict(keys)
        order = await self._kept.order(scope.account, scope.mailbox, snapshot.uids, sort)
        return [(uid, email_of[uid]) for uid in order if uid in email_of]

    async def _search(
        self, scope: Scope, program: SearchKey, sort: Sequence[SortBy], progress: Progress | None
    ) -> SearchResult:
        account = scope.account
        plan = plan_search(program)
        if plan.is_exact:
            listing = await self._core.read(account, read_matches, scope, program, sort)
            return _make_result(scope, listing.modseq, listing.keys)
        candidates = None if self._index is None else await self._index.find(account, program)
        days = widen(program, lambda key: isinstance(key, SentOn), is_exact=False)
        listing = await self._core.read(account, read_matches, scope, join_and([plan.columns, days]), (), candidates)
        is_ranked = any(by.key is SortKey.RELEVANCY for by in sort)
        terms = list_terms(program) if is_ranked else ()
        found = await self._verify(scope, program, listing, terms, progress)
        if not sort:
            return _make_result(scope, listing.modseq, [match.key for match in found])
        scores = rank([match.counts for match in found])
        keys = await self._sort(scope, [match.key for match in found], scores, sort)
        result = _make_result(scope, listing.modseq, keys)
        if is_ranked:
            score_of = {match.key: score for match, score in zip(found, scores, strict=True)}
            result.scores = [score_of[uid, email] for uid, email in keys]
        return result

    async def _verify(
        self,
        scope: Scope,
        program: SearchKey,
        listing: Matches,
        terms: Sequence[Term],
        progress: Progress | None,
    ) -> list[Match]:
        verifier = Verifier(scope, program, listing.keywords, self._core.shard(scope.account).folder, terms)
        found: list[Match] = []
        start = 0
        while start < len(listing.keys):
            matches, start = await self._core.read(scope.account, verifier.run, listing.keys, start)
            found += matches
            if progress is not None:
                progress(start, len(listing.keys))
        return found

    async def _sort(
        self, scope: Scope, keys: Sequence[Key], scores: Sequence[float], sort: Sequence[SortBy]
    ) -> list[Key]:
        triples = [f"[{uid},{email},{score!r}]" for (uid, email), score in zip(keys, scores, strict=True)]
        bindings = (scope.account, f"[{','.join(triples)}]")
        return await self._core.read(scope.account, read_keys, select_sorted(sort), bindings)

    async def threads(
        self, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid], by: ThreadBy
    ) -> tuple[list[Uid], Forest]:
        snapshot = await self._core.snapshots.get(account, mailbox, None)
        if len(uids) <= _FEW or not self._kept.can_hold(len(snapshot.uids)):
            rows = await self._read_rows(account, mailbox, uids)
            return [Uid(row.uid) for row in rows], await _build_threads(rows, by)
        column = await self._kept.column(account, mailbox, snapshot.uids, THREADS)
        rows = [column[uid] for uid in uids if uid in column]
        here = [Uid(row.uid) for row in rows]
        if array("I", here) != snapshot.uids:
            return here, await _build_threads(rows, by)
        forest = self._kept.forest(account, mailbox, snapshot.uids, by)
        if forest is None:
            forest = await _build_threads(rows, by)
            self._kept.keep_forest(account, mailbox, snapshot.uids, by, forest)
        return here, forest

    async def _read_rows(self, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid]) -> list[ThreadRow]:
        rows: list[ThreadRow] = []
        for start in range(0, len(uids), _SLICE):
            wanted = from_sorted(uids[start : start + _SLICE])
            rows += await self._core.read(account, read_thread_rows, mailbox, wanted)
        return rows


async def _build_threads(rows: Sequence[ThreadRow], by: ThreadBy) -> Forest:
    """Beside the loop when it takes longer than others should wait."""
    if len(rows) < _MANY:
        return build_threads(rows, by)
    return await asyncio.to_thread(build_threads, rows, by)


def _is_sorted_here(count: int, snapshot: Snapshot) -> bool:
    return count > _FEW and len(snapshot.uids) <= _MOST_SORTED


def _make_result(scope: Scope, modseq: ModSeq, keys: Sequence[Key]) -> SearchResult:
    emails = [EmailId(email) for _, email in keys]
    return SearchResult(emails, [] if scope.mailbox is None else [Uid(uid) for uid, _ in keys], modseq)
