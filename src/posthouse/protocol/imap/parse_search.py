"""SEARCH, SORT, THREAD (RFC 9051 §6.4.4, RFC 5256), ESEARCH over mailboxes (RFC 7377), and their keys.

Keys of RFC 5032, RFC 5182, RFC 6203, RFC 7162, RFC 8474, RFC 8514; return options of RFC 4731, RFC 5267, RFC 9394. The
number of keys and the depth of parentheses, NOTs and ORs are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

from posthouse.message.charsets import decode_text, is_known_charset
from posthouse.message.search import (
    All,
    Contains,
    Emails,
    HasFlag,
    HasHeader,
    InThread,
    Larger,
    Not,
    Received,
    Saved,
    SentOn,
    Side,
    Smaller,
    SortBy,
    SortKey,
    Where,
)
from posthouse.protocol.imap.commands import CancelUpdate, Search, Sort, Thread
from posthouse.protocol.imap.objectids import parse_email_name, parse_thread_name
from posthouse.protocol.imap.parse_access import parse_source
from posthouse.protocol.imap.parse_messages import messages_of, parse_partial
from posthouse.protocol.imap.reader import MAX_NUMBER64, Reader, SyntaxProblem
from posthouse.protocol.imap.server_events import ImapLimits
from posthouse.protocol.imap.values import (
    AllOf,
    AnyOf,
    ImapKey,
    ModSeqFrom,
    NoneOf,
    Numbered,
    OfAccount,
    PartialRange,
    Return,
    Scope,
    SearchReturn,
    SequenceSet,
    Source,
    ThreadKind,
    Within,
)

_DATE = re.compile(rb'"?([0-9]{1,2})-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-([0-9]{4})"?', re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERS = re.compile(rb"(?=[0-9*$])")
_IN = re.compile(rb" IN ", re.IGNORECASE)
_NOTHING = Not(All())


class _Keys:
    """One program: its character set, and how many keys it may still have."""

    def __init__(self, reader: Reader, limits: ImapLimits, charset: str) -> None:
        self.reader, self.left = reader, limits.search_keys
        is_plain = charset in ("UTF-8", "US-ASCII") or not is_known_charset(charset)  # the last is refused behind
        self.charset = "" if is_plain else charset

    def read_all(self) -> ImapKey:
        """Keys with spaces between them: all must match."""
        keys = [self.read()]
        while self.reader.accept(b" "):
            keys.append(self.read())
        return keys[0] if len(keys) == 1 else AllOf(tuple(keys))

    def read(self) -> ImapKey:
        reader = self.reader
        self.left -= 1
        if self.left < 0:
            raise SyntaxProblem("Too many search keys", b"LIMIT", b"NO")
        if reader.open():
            keys = self.read_all()
            reader.close()
            return keys
        if reader.match(_NUMBERS) is not None:
            return Numbered(self._by_number(), is_uid=False)
        name = reader.keyword("a search key")
        simple = _SIMPLE.get(name)
        if simple is not None:
            return simple
        parse = _ARGUMENTS.get(name)
        if parse is None:
            raise SyntaxProblem(f"There is no search key {name[:40]}")
        reader.space()
        return parse(self)

    def _by_number(self) -> SequenceSet:
        messages = messages_of(self.reader)
        if self.reader.is_uid_only and not messages.is_saved:
            raise SyntaxProblem("UIDONLY is enabled: search by UID", b"UIDREQUIRED")  # RFC 9586 §3.3
        return messages

    def deeper(self) -> ImapKey:
        """A key behind NOT, OR or FUZZY: they lie in each other like parentheses."""
        reader = self.reader
        reader.depth -= 1
        if reader.depth < 0:
            raise SyntaxProblem("Too many keys within each other")
        key = self.read()
        reader.depth += 1
        return key

    def text(self) -> str:
        octets = self.reader.astring_octets("a text")
        return decode_text(octets, self.charset) if self.charset else octets.decode("utf-8", "replace")

    def day(self) -> date:
        found = self.reader.match(_DATE)
        if found is None:
            self.reader.fail("a date like 17-Jul-1996")
        try:
            return date(int(found[3]), _MONTHS.index(found[2].decode("ascii").lower()) + 1, int(found[1]))
        except ValueError:
            raise SyntaxProblem("There is no such date") from None

    def number(self) -> int:
        return self.reader.number(most=MAX_NUMBER64)


_SIMPLE: Mapping[str, ImapKey] = {
    "ALL": All(),
    "ANSWERED": HasFlag("\\Answered"),
    "DELETED": HasFlag("\\Deleted"),
    "DRAFT": HasFlag("\\Draft"),
    "FLAGGED": HasFlag("\\Flagged"),
    "SEEN": HasFlag("\\Seen"),
    "UNANSWERED": NoneOf(HasFlag("\\Answered")),
    "UNDELETED": NoneOf(HasFlag("\\Deleted")),
    "UNDRAFT": NoneOf(HasFlag("\\Draft")),
    "UNFLAGGED": NoneOf(HasFlag("\\Flagged")),
    "UNSEEN": NoneOf(HasFlag("\\Seen")),
    "NEW": _NOTHING,
    "RECENT": _NOTHING,
    "OLD": All(),
    "SAVEDATESUPPORTED": All(),
}


def _text_in(where: Where) -> Callable[[_Keys], ImapKey]:
    return lambda keys: Contains(where, keys.text())


def _header(keys: _Keys) -> ImapKey:
    name = keys.reader.astring("the name of a field")
    keys.reader.space()
    return HasHeader(name, keys.text())


def _keyword(keys: _Keys) -> ImapKey:
    return HasFlag(keys.reader.flag())


def _or(keys: _Keys) -> ImapKey:
    """ORs within each other come out flat: clients ask for a hundred senders by a hundred of them. A tree of nothing
    but ORs has one leaf more than ORs.
    """
    found: list[ImapKey] = []
    wanted = 2
    while True:
        if keys.reader.accept_word(b"OR"):
            wanted += 1
        else:
            found.append(keys.deeper())
            wanted -= 1
        if not wanted:
            return AnyOf(tuple(found))
        keys.reader.space()


def _not(keys: _Keys) -> ImapKey:
    is_negative = True
    while keys.reader.accept_word(b"NOT"):
        is_negative = not is_negative
        keys.reader.space()
    key = keys.deeper()
    return NoneOf(key) if is_negative else key


def _fuzzy(keys: _Keys) -> ImapKey:
    return _make_fuzzy(keys.deeper())


def _make_fuzzy(key: ImapKey) -> ImapKey:
    """RFC 6203 §3: every text in what follows."""
    match key:
        case Contains(where, text):
            return Contains(where, text, is_fuzzy=True)
        case AllOf(of):
            return AllOf(tuple(map(_make_fuzzy, of)))
        case AnyOf(of):
            return AnyOf(tuple(map(_make_fuzzy, of)))
        case NoneOf(of):
            return NoneOf(_make_fuzzy(of))
        case _:
            return key


def _modseq(keys: _Keys) -> ImapKey:
    """With or without the name and type of an entry, which change nothing (RFC 7162 §3.1.5)."""
    reader = keys.reader
    if reader.has(b'"'):
        reader.string("the name of an entry")
        reader.space()
        if reader.keyword("priv, shared or all") not in ("PRIV", "SHARED", "ALL"):
            raise SyntaxProblem("The type of an entry is priv, shared or all")
        reader.space()
    return ModSeqFrom(keys.number())


def _object_id(keys: _Keys) -> ImapKey:
    found = parse_email_name(keys.reader.astring("an EMAILID"))
    return _NOTHING if found is None else OfAccount(found[0], Emails(frozenset({found[1]})))


def _thread_id(keys: _Keys) -> ImapKey:
    found = parse_thread_name(keys.reader.astring("a THREADID"))
    return _NOTHING if found is None else OfAccount(found[0], InThread(found[1]))


_ARGUMENTS: Mapping[str, Callable[[_Keys], ImapKey]] = {
    "BCC": _text_in(Where.BCC),
    "BODY": _text_in(Where.BODY),
    "CC": _text_in(Where.CC),
    "FROM": _text_in(Where.FROM),
    "SUBJECT": _text_in(Where.SUBJECT),
    "TEXT": _text_in(Where.TEXT),
    "TO": _text_in(Where.TO),
    "HEADER": _header,
    "KEYWORD": _keyword,
    "UNKEYWORD": lambda keys: NoneOf(_keyword(keys)),
    "BEFORE": lambda keys: Received(Side.BEFORE, keys.day()),
    "ON": lambda keys: Received(Side.ON, keys.day()),
    "SINCE": lambda keys: Received(Side.SINCE, keys.day()),
    "SENTBEFORE": lambda keys: SentOn(Side.BEFORE, keys.day()),
    "SENTON": lambda keys: SentOn(Side.ON, keys.day()),
    "SENTSINCE": lambda keys: SentOn(Side.SINCE, keys.day()),
    "SAVEDBEFORE": lambda keys: Saved(Side.BEFORE, keys.day()),
    "SAVEDON": lambda keys: Saved(Side.ON, keys.day()),
    "SAVEDSINCE": lambda keys: Saved(Side.SINCE, keys.day()),
    "LARGER": lambda keys: Larger(keys.number()),
    "SMALLER": lambda keys: Smaller(keys.number()),
    "YOUNGER": lambda keys: Within(keys.reader.number("seconds", least=1), is_younger=True),
    "OLDER": lambda keys: Within(keys.reader.number("seconds", least=1), is_younger=False),
    "UID": lambda keys: Numbered(messages_of(keys.reader), is_uid=True),
    "MODSEQ": _modseq,
    "EMAILID": _object_id,
    "THREADID": _thread_id,
    "NOT": _not,
    "OR": _or,
    "FUZZY": _fuzzy,
}


# -- the commands


def parse_search(reader: Reader, limits: ImapLimits, is_uid: bool) -> Search:
    return _search(reader, limits, is_uid, ())


def parse_esearch(reader: Reader, limits: ImapLimits) -> Search:
    """RFC 7377 §3. Without IN it is the selected mailbox."""
    sources = [Source(Scope.SELECTED)]
    if reader.match(_IN) is not None:
        sources = reader.listed(lambda: parse_source(reader), may_be_empty=False)
    search = _search(reader, limits, True, tuple(sources))
    if search.returns.options is not None:
        return search
    return replace(search, returns=SearchReturn(frozenset({Return.ALL})))


def _search(reader: Reader, limits: ImapLimits, is_uid: bool, sources: tuple[Source, ...]) -> Search:
    if not reader.accept(b" "):
        reader.fail("a search key")
    returns = SearchReturn()
    if reader.accept_word(b"RETURN"):
        reader.space()
        returns = _returns(reader)
        reader.space()
    charset = None
    if reader.accept_word(b"CHARSET"):
        reader.space()
        charset = _charset(reader)
        reader.space()
    key = _Keys(reader, limits, charset or "UTF-8").read_all()
    return Search(key, returns, is_uid, sources, charset)


def _charset(reader: Reader) -> str:
    return reader.astring("a character set").upper()


def _returns(reader: Reader) -> SearchReturn:
    options: set[Return] = set()
    partial: list[PartialRange] = []

    def read() -> None:
        name = reader.keyword("a return option")
        if name == "PARTIAL":
            reader.space()
            partial.append(parse_partial(reader))
            return
        try:
            options.add(Return(name))
        except ValueError:
            raise SyntaxProblem(f"There is no return option {name}") from None

    reader.listed(read)
    if Return.ALL in options and partial:
        raise SyntaxProblem("PARTIAL and ALL exclude each other")  # RFC 9394 §3.1
    if not options - {Return.CONTEXT, Return.UPDATE} and not partial:
        options.add(Return.ALL)
    return SearchReturn(frozenset(options), partial[0] if partial else None)


_SORT_KEYS: Mapping[str, SortKey] = {
    "ARRIVAL": SortKey.ARRIVAL,
    "CC": SortKey.CC,
    "DATE": SortKey.DATE,
    "FROM": SortKey.FROM,
    "SIZE": SortKey.SIZE,
    "SUBJECT": SortKey.SUBJECT,
    "TO": SortKey.TO,
    "DISPLAYFROM": SortKey.DISPLAY_FROM,
    "DISPLAYTO": SortKey.DISPLAY_TO,
    "RELEVANCY": SortKey.RELEVANCY,
}


def parse_sort(reader: Reader, limits: ImapLimits, is_uid: bool) -> Sort:
    reader.space()
    returns = SearchReturn()
    if reader.accept_word(b"RETURN"):
        reader.space()
        returns = _returns(reader)
        reader.space()
    by = tuple(reader.listed(lambda: _sort_key(reader), may_be_empty=False))
    reader.space()
    charset = _charset(reader)
    reader.space()
    return Sort(by, _Keys(reader, limits, charset).read_all(), returns, is_uid, charset)


def _sort_key(reader: Reader) -> SortBy:
    name = reader.keyword("a sort key")
    is_descending = name == "REVERSE"
    if is_descending:
        reader.space()
        name = reader.keyword("a sort key")
    key = _SORT_KEYS.get(name)
    if key is None:
        raise SyntaxProblem(f"There is no sort key {name[:40]}")
    return SortBy(key, is_descending)


def parse_thread(reader: Reader, limits: ImapLimits, is_uid: bool) -> Thread:
    reader.space()
    name = reader.keyword("an algorithm")
    try:
        kind = ThreadKind(name)
    except ValueError:
        raise SyntaxProblem(f"There is no threading algorithm {name[:40]}") from None
    reader.space()
    charset = _charset(reader)
    reader.space()
    return Thread(kind, _Keys(reader, limits, charset).read_all(), is_uid, charset)


def parse_cancel_update(reader: Reader, limits: ImapLimits) -> CancelUpdate:
    tags = []
    while reader.accept(b" "):
        tags.append(reader.string_octets("a tag in quotes"))
    if not tags:
        reader.fail("a tag in quotes")
    return CancelUpdate(tuple(tags))
