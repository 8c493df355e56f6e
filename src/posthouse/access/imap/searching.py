"""SEARCH and UID SEARCH (RFC 9051 §6.4.4) with all that was added to them; what SORT and THREAD share with them.

News are told first, so that what is found can be named. A long search says how far it is, and ends when its client has
gone; nothing is held meanwhile. RFC 4731, RFC 5182, RFC 5267, RFC 6203, RFC 7162 §3.1.5, RFC 9394, RFC 9585.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.contexts import begin_context, refuse_reuse
from posthouse.access.imap.searching_keys import Program, Resolver
from posthouse.access.imap.searching_many import is_of_selected, search_many, write_where
from posthouse.access.imap.searching_results import (
    Answer,
    Found,
    check_returns,
    make_found,
    saved_of,
    write_extended,
    write_plain,
)
from posthouse.access.imap.updates import tell_news
from posthouse.message.charsets import is_known_charset
from posthouse.message.mailbox import UidSet
from posthouse.message.search import SortBy, SortKey
from posthouse.ms.uidsets import EMPTY
from posthouse.ports.access import ConnectionLost
from posthouse.ports.store import SearchResult, StoreError, StoreRefusal
from posthouse.protocol.imap.commands import Search, Sort, Thread
from posthouse.protocol.imap.values import ImapKey, Numbered, Return

RELEVANCY = (SortBy(SortKey.RELEVANCY),)
_BEST = 100


async def search(context: Context, request: Search) -> Done:
    if not is_of_selected(context, request.sources):
        check_charset(context, request)
        return await search_many(context, request)
    return await answer_search(context, request, b"SEARCH")


def check_charset(context: Context, request: Search | Sort | Thread) -> None:
    """Raises No; Bad: with UTF8=ACCEPT all is UTF-8, and SEARCH names no character set (RFC 9755 §3)."""
    charset = request.charset
    if charset is not None and not is_known_charset(charset):
        raise No("That character set is not known", b"BADCHARSET (UTF-8 US-ASCII)")
    if context.utf8 and charset is not None and (charset != "UTF-8" or isinstance(request, Search)):
        raise Bad("UTF8=ACCEPT is enabled: all text is UTF-8")


async def answer_search(context: Context, request: Search | Sort, name: bytes) -> Done:
    """`name` of the response to those who want no ESEARCH."""
    options = request.returns.options or frozenset()
    try:
        return await _answer(context, request, name)
    except (No, StoreError, StoreRefusal):
        if Return.SAVE in options:
            context.mailbox.saved = EMPTY  # RFC 5182 §2.1
        raise


async def _answer(context: Context, request: Search | Sort, name: bytes) -> Done:
    is_uid = request.is_uid
    check_charset(context, request)
    program = await prepare(context, request.key, is_uid=is_uid)
    returns = request.returns
    options = returns.options or frozenset()
    check_returns(returns, is_fuzzy=program.is_fuzzy)
    if Return.UPDATE in options:
        refuse_reuse(context)
    by = request.by if isinstance(request, Sort) else ()
    found = await _find(context, program, by, is_uid=is_uid, is_scored=Return.RELEVANCY in options)
    modseqs = context.mailbox.view.modseqs if program.has_modseq else None
    if returns.options is None and returns.partial is None and not (context.rev2 and name == b"SEARCH"):
        context.write(write_plain(name, found, modseqs))
    else:
        is_many = isinstance(request, Search) and bool(request.sources)
        where = write_where(context, context.mailbox.place) if is_many else b""
        context.write(write_extended(found, returns, Answer(context.tag, is_uid, where, modseqs)))
    if Return.SAVE in options:
        context.mailbox.saved = saved_of(found, returns)
    if Return.UPDATE in options:
        begin_context(context, program, by, found.uids, is_uid=is_uid)
    return Done("Search completed")


async def prepare(context: Context, key: ImapKey, *, is_uid: bool) -> Program:
    """News told, and the program in the words of the store."""
    await tell_news(context, may_expunge=is_uid)
    selected = context.mailbox

    def number(numbered: Numbered) -> UidSet:
        return selected.uids_of(numbered.messages, is_uid=numbered.is_uid)

    program = Resolver(number, context.desk.clock.now(), selected.place.owner).resolve(key)
    if program.has_modseq:
        context.condstore = True
    return program


async def _find(context: Context, program: Program, by: Sequence[SortBy], *, is_uid: bool, is_scored: bool) -> Found:
    order = RELEVANCY if is_scored and not by else by
    result = await run_search(context, program, order)
    view = context.mailbox.view
    uids: Sequence[int] = result.uids
    if is_scored and not by:
        uids = sorted(uids)
    found = make_found(view, uids, is_uid=is_uid, needs_places=program.has_modseq, is_sorted=bool(by))
    if is_scored:
        found.scores = await _score(context, program, result, found.uids)
    return found


async def _score(context: Context, program: Program, result: SearchResult, uids: Sequence[int]) -> list[int]:
    """1 to 100, the best 100 (RFC 6203 §4)."""
    if not result.scores:
        result = await run_search(context, program, RELEVANCY)
    best = max(result.scores, default=0.0) or 1.0
    score_of: dict[int, float] = dict(zip(result.uids, result.scores, strict=True))
    return [max(1, round(score_of.get(uid, 0.0) / best * _BEST)) for uid in uids]


async def run_search(context: Context, program: Program, by: Sequence[SortBy] = ()) -> SearchResult:
    place = context.mailbox.place
    return await context.desk.store.search.search(
        place.owner, program.key, place.mailbox.id, by, place.viewer, note_progress(context)
    )


def note_progress(context: Context) -> Callable[[int, int], None]:
    """For the store to call while it searches: the client is told, and a client that is gone ends the search."""

    def note(done: int, total: int) -> None:
        if context.wire.is_closing:
            raise ConnectionLost
        context.tell_progress(done, total)

    return note
