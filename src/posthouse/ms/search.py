"""What a search program (message/search.py) means on one email, and what of it columns or an index can answer.

A program is compiled once and then asked about each email. Keys are tried cheapest first, so that no text is decoded
for an email that a flag or a date rules out. Text compares by i;unicode-casemap (RFC 5051) as substrings, as in
RFC 9051 §6.4.4. `widen` gives what a part of the keys says about the whole: never less than matches, so that it may
narrow candidates; what it lets through is asked again here. Pure; recursion goes as deep as the program, which its
reader has bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol, assert_never

from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import EmailId, KeywordTable, MailboxId, ThreadId
from posthouse.message.search import (
    All,
    And,
    Contains,
    Emails,
    HasAttachment,
    HasFlag,
    HasHeader,
    InMailbox,
    InThread,
    Larger,
    ModifiedSince,
    Not,
    Or,
    Received,
    ReceivedAt,
    Saved,
    SearchKey,
    SentOn,
    Side,
    Smaller,
    Uids,
    Where,
)
from posthouse.ms.uidsets import contains

NOTHING = Not(All())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Texts(Protocol):
    """Texts of one email, folded (`casemap.fold_case`), each made when it is asked for."""

    def text(self, where: Where) -> str: ...

    def header(self, name: str) -> list[str]:
        """The values of all fields of that name, in any case."""

    def sent_day(self) -> date | None:
        """The day of the Date field on its own clock."""


@dataclass(slots=True)
class EmailFacts:
    """One email in one mailbox, or, where a whole account is searched, once for all its visible placements.

    `uid` 0: not of one mailbox. `flags` of the placement, or merged (ms/keywords). `saved`: of each placement.
    """

    email: EmailId
    thread: ThreadId
    uid: int
    mailboxes: Collection[MailboxId]
    flags: int
    modseq: int
    saved: tuple[float, ...]
    received: float
    zone_minutes: int
    size: int
    has_attachment: bool
    texts: Texts


Test = Callable[[EmailFacts], bool]


def compile_search(program: SearchKey, keywords: KeywordTable) -> Test:
    """The test that a program is."""
    match program:
        case Not(of):
            inner = compile_search(of, keywords)
            return lambda facts: not inner(facts)
        case And(of):
            tests = [compile_search(key, keywords) for key in sorted(of, key=cost)]
            return lambda facts: all(test(facts) for test in tests)
        case Or(of):
            tests = [compile_search(key, keywords) for key in sorted(of, key=cost)]
            return lambda facts: any(test(facts) for test in tests)
        case HasFlag(name):
            bit = keywords.bit_of(name) or 0
            return lambda facts: bool(facts.flags & bit)
        case Contains() | HasHeader() | HasAttachment():
            return _compile_text(program)
        case Received() | SentOn() | Saved() | ReceivedAt():
            return _compile_date(program)
        case _:
            return _compile_number(program)


def _compile_number(
    key: All | Uids | Emails | InMailbox | InThread | Larger | Smaller | ModifiedSince,
) -> Test:
    match key:
        case All():
            return lambda facts: True
        case Uids(ranges):
            return lambda facts: facts.uid > 0 and contains(ranges, facts.uid)
        case Emails(ids):
            return lambda facts: facts.email in ids
        case InMailbox(mailbox):
            return lambda facts: mailbox in facts.mailboxes
        case InThread(thread):
            return lambda facts: facts.thread == thread
        case Larger(octets):
            return lambda facts: facts.size > octets
        case Smaller(octets):
            return lambda facts: facts.size < octets
        case ModifiedSince(modseq):
            return lambda facts: facts.modseq >= modseq
        case _:
            assert_never(key)


def _compile_date(key: Received | SentOn | Saved | ReceivedAt) -> Test:
    match key:
        case Received(side, day):
            return lambda facts: _is_on_side(side, day_of(facts.received, facts.zone_minutes), day)
        case SentOn(side, day):
            return lambda facts: _is_on_side(side, facts.texts.sent_day(), day)
        case Saved(side, day):
            return lambda facts: any(_is_on_side(side, day_of(saved), day) for saved in facts.saved)
        case ReceivedAt(Side.BEFORE, instant):
            return lambda facts: facts.received < instant
        case ReceivedAt(Side.SINCE, instant):
            return lambda facts: facts.received >= instant
        case ReceivedAt(_, instant):
            return lambda facts: facts.received == instant


def _compile_text(key: Contains | HasHeader | HasAttachment) -> Test:
    match key:
        case HasAttachment():
            return lambda facts: facts.has_attachment
        case HasHeader(name, text):
            wanted = fold_case(text)
            return lambda facts: any(wanted in value for value in facts.texts.header(name))
        case Contains(where, text, is_fuzzy):
            folded = fold_case(text)
            words = folded.split() if is_fuzzy else [folded]
            return lambda facts: all(word in facts.texts.text(where) for word in words)


def day_of(instant: float, zone_minutes: int = 0) -> date:
    """The day that a clock of that zone showed; the first or last there is when it is out of the calendar."""
    try:
        return (_EPOCH + timedelta(seconds=instant, minutes=zone_minutes)).date()
    except OverflowError:
        return date.max if instant > 0 else date.min


def _is_on_side(side: Side, day: date | None, wanted: date) -> bool:
    if day is None:
        return False
    match side:
        case Side.BEFORE:
            return day < wanted
        case Side.ON:
            return day == wanted
        case Side.SINCE:
            return day >= wanted


# -- what it costs, and what can be asked of whom

_CHEAP, _CACHED, _HEADER, _BODY = range(4)
_CACHED_TEXTS = frozenset({Where.SUBJECT, Where.FROM, Where.TO, Where.CC, Where.BCC, Where.ATTACHMENT})


def cost(key: SearchKey) -> int:
    """What the dearest key in it needs: 0 columns, 1 cached texts, 2 the header, 3 the body."""
    match key:
        case Not(of):
            return cost(of)
        case And(of) | Or(of):
            return max(map(cost, of), default=_CHEAP)
        case Contains(where, _, _):
            return _CACHED if where in _CACHED_TEXTS else _BODY
        case HasHeader() | SentOn():
            return _HEADER
        case _:
            return _CHEAP


def is_column_key(key: SearchKey) -> bool:
    """A key that needs no text at all."""
    return cost(key) == _CHEAP


def is_index_key(key: SearchKey) -> bool:
    """A key that an index of trigrams can narrow."""
    return isinstance(key, Contains) and any(len(word) >= 3 for word in index_words(key))


def index_words(key: Contains) -> list[str]:
    """What a text that matches must contain, folded: the text itself, or its words where it is fuzzy."""
    folded = fold_case(key.text)
    return folded.split() if key.is_fuzzy else [folded]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """`columns` and `index` are true for all that match; what they let through is to be verified with the program,
    unless `is_exact`: then `columns` says it all.
    """

    columns: SearchKey
    index: SearchKey
    is_exact: bool
    needs_octets: bool


def plan_search(program: SearchKey) -> SearchPlan:
    price = cost(program)
    return SearchPlan(
        widen(program, is_column_key),
        widen(program, is_index_key, is_exact=False),
        price == _CHEAP,
        price in (_HEADER, _BODY),
    )


def widen(program: SearchKey, keeps: Callable[[SearchKey], bool], *, is_exact: bool = True) -> SearchKey:
    """The narrowest program of keys that `keeps` accepts that is true wherever `program` is.

    `is_exact` False: who answers these keys may say yes where it is no, so that nothing follows from their opposite.
    """
    return _bound(program, keeps, is_upper=True, is_exact=is_exact)


def _bound(program: SearchKey, keeps: Callable[[SearchKey], bool], *, is_upper: bool, is_exact: bool) -> SearchKey:
    match program:
        case All():
            return program
        case Not(of):
            return negate(_bound(of, keeps, is_upper=not is_upper, is_exact=is_exact))
        case And(of):
            return join_and([_bound(key, keeps, is_upper=is_upper, is_exact=is_exact) for key in of])
        case Or(of):
            return join_or([_bound(key, keeps, is_upper=is_upper, is_exact=is_exact) for key in of])
        case _ if (is_upper or is_exact) and keeps(program):
            return program
        case _:
            return All() if is_upper else NOTHING


def negate(key: SearchKey) -> SearchKey:
    return key.of if isinstance(key, Not) else Not(key)


def join_and(keys: list[SearchKey]) -> SearchKey:
    left = [key for key in keys if not isinstance(key, All)]
    if NOTHING in left:
        return NOTHING
    if len(left) > 1:
        return And(tuple(left))
    return left[0] if left else All()


def join_or(keys: list[SearchKey]) -> SearchKey:
    left = [key for key in keys if key != NOTHING]
    if any(isinstance(key, All) for key in left):
        return All()
    if len(left) > 1:
        return Or(tuple(left))
    return left[0] if left else NOTHING


def score(program: SearchKey, facts: EmailFacts) -> int:
    """How often what is searched for stands in the email (RFC 6203 §4), not counting what must not stand there."""
    match program:
        case And(of) | Or(of):
            return sum(score(key, facts) for key in of)
        case Contains(where, _, _):
            text = facts.texts.text(where)
            return sum(text.count(word) for word in index_words(program) if word)
        case _:
            return 0
