"""Filters and sorts of Email/query as searches of the store (RFC 8621 §4.4.1, §4.4.2). Pure.

Text is searched for word by word; words in quotes stay together (RFC 8621 §4.4.1). Raises MethodError: invalidArguments
for a condition that is none, unsupportedSort for a key that there is not. Conditions on the keywords of whole threads
are no searches of the store: `list_thread_tests` names them, and who knows threads says what each is (email_query.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from posthouse.access.jmap.keywords import flag_of, is_keyword
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.message.objectids import find_mailbox
from posthouse.message.search import (
    All,
    Contains,
    HasAttachment,
    HasFlag,
    HasHeader,
    InMailbox,
    Larger,
    Not,
    ReceivedAt,
    SearchKey,
    Side,
    Smaller,
    SortBy,
    SortKey,
    Where,
)
from posthouse.ms.search import join_and, join_or, negate
from posthouse.protocol.jmap.arguments import (
    Comparator,
    Filter,
    FilterCondition,
    FilterOperator,
    QueryArguments,
    QueryChangesArguments,
    UnsignedInt,
)
from posthouse.protocol.jmap.dates import read_utc_date
from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.json import convert

_BY_KEYWORD = ("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword")
SORT_OPTIONS = ("receivedAt", "size", "from", "to", "subject", "sentAt", *_BY_KEYWORD)
_SORTS = {
    "receivedAt": SortKey.ARRIVAL,
    "size": SortKey.SIZE,
    "from": SortKey.DISPLAY_FROM,
    "to": SortKey.DISPLAY_TO,
    "subject": SortKey.SUBJECT,
    "sentAt": SortKey.DATE,
}
_OF_THREADS = ("allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword")
_CHANGING = frozenset({"inMailbox", "inMailboxOtherThan", "hasKeyword", "notKeyword", *_OF_THREADS})
ThreadTest = tuple[str, str]  # a condition's name, and a keyword
_ANYWHERE = (Where.FROM, Where.TO, Where.CC, Where.BCC, Where.SUBJECT, Where.BODY)
_TOKEN = re.compile(r"\"((?:[^\"\\]++|\\.)*+)\"|'((?:[^'\\]++|\\.)*+)'(?=\s|\Z)|(\S+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
MAX_TOKENS = 50

_HeaderTest = Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)]


class EmailQueryArguments(QueryArguments):
    """RFC 8621 §4.4."""

    collapse_threads: bool = False


class EmailQueryChangesArguments(QueryChangesArguments):
    """RFC 8621 §4.5."""

    collapse_threads: bool = False


class _Condition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """RFC 8621 §4.4.1. None: says nothing of it."""

    in_mailbox: str | None = None
    in_mailbox_other_than: list[str] | None = None
    before: str | None = None
    after: str | None = None
    min_size: UnsignedInt | None = None
    max_size: UnsignedInt | None = None
    all_in_thread_have_keyword: str | None = None
    some_in_thread_have_keyword: str | None = None
    none_in_thread_have_keyword: str | None = None
    has_keyword: str | None = None
    not_keyword: str | None = None
    has_attachment: bool | None = None
    text: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    cc: str | None = None
    bcc: str | None = None
    subject: str | None = None
    body: str | None = None
    header: _HeaderTest | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`owner`: the account; `mailboxes`: all of it, for `inMailboxOtherThan`; `tests`: what those on threads are."""

    owner: AccountId
    mailboxes: Sequence[MailboxId]
    tests: Mapping[ThreadTest, SearchKey] = field(default_factory=dict)


def make_search(
    wanted: Filter | None,
    owner: AccountId,
    mailboxes: Sequence[MailboxId],
    tests: Mapping[ThreadTest, SearchKey] | None = None,
) -> SearchKey:
    """Raises MethodError, unsupportedFilter for a test on threads that is not among `tests`."""
    return _make_search(wanted, Surroundings(owner, mailboxes, tests or {}))


def _make_search(wanted: Filter | None, around: Surroundings) -> SearchKey:
    match wanted:
        case None:
            return All()
        case FilterOperator(operator, conditions):
            keys = [_make_search(condition, around) for condition in conditions]
            if operator == "AND":
                return join_and(keys)
            return join_or(keys) if operator == "OR" else negate(join_or(keys))
        case FilterCondition(members):
            return join_and(_read_condition(members, around))


def _read_condition(members: Mapping[str, object], around: Surroundings) -> list[SearchKey]:
    owner = around.owner
    condition = _convert(members)
    keys: list[SearchKey] = [_find_test(test, around) for test in _tests_of(condition)]
    for member, make in _MAKERS.items():
        value = getattr(condition, member)
        if value is not None:
            keys.append(make(value))
    if condition.in_mailbox is not None:
        keys.insert(0, InMailbox(find_mailbox(owner, condition.in_mailbox) or MailboxId(0)))
    if condition.in_mailbox_other_than is not None:
        left_out = {find_mailbox(owner, text) for text in condition.in_mailbox_other_than}
        keys.append(join_or([InMailbox(mailbox) for mailbox in around.mailboxes if mailbox not in left_out]))
    return keys


def _convert(members: Mapping[str, object]) -> _Condition:
    try:
        return convert(dict(members), _Condition)
    except msgspec.ValidationError as problem:
        raise invalid_arguments(str(problem)) from None


def _tests_of(condition: _Condition) -> list[ThreadTest]:
    keywords = (
        condition.all_in_thread_have_keyword,
        condition.some_in_thread_have_keyword,
        condition.none_in_thread_have_keyword,
    )
    return [(name, keyword) for name, keyword in zip(_OF_THREADS, keywords, strict=True) if keyword is not None]


def _find_test(test: ThreadTest, around: Surroundings) -> SearchKey:
    key = around.tests.get(test)
    if key is None:
        raise MethodError(ErrorType.UNSUPPORTED_FILTER, f"There is no search for {test[0]} here")
    return key


def list_thread_tests(wanted: Filter | None) -> set[ThreadTest]:
    """Raises MethodError as `make_search`."""
    match wanted:
        case FilterOperator(_, conditions):
            return {test for condition in conditions for test in list_thread_tests(condition)}
        case FilterCondition(members):
            return set(_tests_of(_convert(members)))
        case _:
            return set()


def names_others(wanted: Filter | None) -> bool:
    """Whether it says which mailboxes are not meant: then all there are must be known."""
    match wanted:
        case FilterOperator(_, conditions):
            return any(map(names_others, conditions))
        case FilterCondition(members):
            return members.get("inMailboxOtherThan") is not None
        case _:
            return False


def can_change(wanted: Filter | None) -> bool:
    """Whether an email that is in the result may leave it, though it stays (RFC 8620 §5.6)."""
    match wanted:
        case FilterOperator(_, conditions):
            return any(map(can_change, conditions))
        case FilterCondition(members):
            return not _CHANGING.isdisjoint(members)
        case _:
            return False


def _make_date(side: Side) -> Callable[[str], SearchKey]:
    def make(text: str) -> SearchKey:
        instant = read_utc_date(text)
        if instant is None:
            raise invalid_arguments(f"{text[:100]!r} is no UTCDate")
        return ReceivedAt(side, instant)

    return make


def make_flag(keyword: str) -> SearchKey:
    if not is_keyword(keyword):
        raise invalid_arguments(f"{keyword[:100]!r} is no keyword")
    return HasFlag(flag_of(keyword))


def _make_header(test: Sequence[str]) -> SearchKey:
    return HasHeader(test[0], test[1] if len(test) > 1 else "")


def _make_text(*places: Where) -> Callable[[str], SearchKey]:
    def make(text: str) -> SearchKey:
        return join_and([_contain(token, places) for token in split_text(text)])

    return make


def _contain(token: str, places: Sequence[Where]) -> SearchKey:
    return join_or([Contains(where, token) for where in places])


def split_text(text: str) -> list[str]:
    """Words, and phrases that stand in quotes; MAX_TOKENS at most."""
    tokens: list[str] = []
    for found in _TOKEN.finditer(text):
        phrase = found[1] if found[1] is not None else found[2]
        token = found[3] if phrase is None else _ESCAPE.sub(r"\1", phrase)
        if token:
            tokens.append(token)
        if len(tokens) == MAX_TOKENS:
            break
    return tokens


_MAKERS: Mapping[str, Callable[..., SearchKey]] = {
    "before": _make_date(Side.BEFORE),
    "after": _make_date(Side.SINCE),
    "min_size": lambda octets: Larger(octets - 1),
    "max_size": Smaller,
    "has_keyword": make_flag,
    "not_keyword": lambda keyword: Not(make_flag(keyword)),
    "has_attachment": lambda is_wanted: HasAttachment() if is_wanted else Not(HasAttachment()),
    "text": _make_text(*_ANYWHERE),
    "from_": _make_text(Where.FROM),
    "to": _make_text(Where.TO),
    "cc": _make_text(Where.CC),
    "bcc": _make_text(Where.BCC),
    "subject": _make_text(Where.SUBJECT),
    "body": _make_text(Where.BODY),
    "header": _make_header,
}


@dataclass(frozen=True, slots=True)
class Ordering:
    """`keywords`: tests by which emails come first, each with whether those that fail it do; `rest`: of the store."""

    keywords: Sequence[tuple[ThreadTest, bool]]
    rest: Sequence[SortBy]

    @property
    def tests(self) -> set[ThreadTest]:
        """Those that threads are looked at for."""
        return {test for test, _ in self.keywords if test[0] in _OF_THREADS}


def read_ordering(comparators: Sequence[Comparator]) -> Ordering:
    """Without any, the newest first. Keywords may stand in front of the other keys. Raises MethodError."""
    count = 0
    while count < len(comparators) and comparators[count].property in _BY_KEYWORD:
        count += 1
    keywords = [(_read_test(comparator), comparator.is_ascending) for comparator in comparators[:count]]
    rest = make_sort(comparators[count:])
    return Ordering(keywords, rest or [SortBy(SortKey.ARRIVAL, is_descending=True)])


def _read_test(comparator: Comparator) -> ThreadTest:
    if comparator.keyword is None or not is_keyword(comparator.keyword):
        raise invalid_arguments(f"{comparator.property} needs a keyword")
    return comparator.property, comparator.keyword


def make_sort(comparators: Sequence[Comparator]) -> list[SortBy]:
    """Raises MethodError (unsupportedSort)."""
    unknown = [comparator.property for comparator in comparators if comparator.property not in _SORTS]
    if unknown:
        raise MethodError(ErrorType.UNSUPPORTED_SORT, f"Emails are not sorted by {unknown[0][:100]!r} here")
    return [SortBy(_SORTS[comparator.property], not comparator.is_ascending) for comparator in comparators]


# -- what a search looks for in texts, for snippets


def list_tokens(wanted: Filter | None, members: Sequence[str] = ("text", "subject", "body")) -> list[str]:
    """The words and phrases that a filter looks for in these members, wherever they are in it but below NOT."""
    match wanted:
        case FilterOperator(operator, conditions) if operator != "NOT":
            return [token for condition in conditions for token in list_tokens(condition, members)]
        case FilterCondition(given):
            texts = [value for name in members if isinstance(value := given.get(name), str)]
            return [token for text in texts for token in split_text(text)]
        case _:
            return []
