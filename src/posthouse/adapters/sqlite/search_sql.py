"""Keys of a search that need no text, and the order of a SORT, as SQL over the store's tables.

What stands here means what ms/search.py and ms/sort.py mean, on one row per placement (a mailbox is searched) or per
email (an account is). Every condition names the account: rows of another one are never looked at. Text is never asked
for here, so nothing depends on what an index has seen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from posthouse.adapters.sqlite.bulk import Value
from posthouse.adapters.sqlite.store_sql import IN_LIST, as_list, numbers_json, ranges_json
from posthouse.message.mailbox import AccountId, Flag, KeywordTable, MailboxId, UidSet
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
    SortBy,
    SortKey,
    Uids,
)

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_EPOCH = date(1970, 1, 1).toordinal()
_DAY_US = 86_400_000_000
_ZONES_US = 5 * _DAY_US  # a zone is written with four digits: +9959 at most
_OPERATORS = {Side.BEFORE: "<", Side.ON: "=", Side.SINCE: ">="}
_JOIN_EMAIL = " CROSS JOIN email e ON e.account = ?1 AND e.email = p.email"
_BY_EMAIL = "placement q INDEXED BY placement_email"  # without statistics SQLite would take the whole account
_PLACED = f"SELECT 1 FROM {_BY_EMAIL} WHERE q.account = ?1 AND q.email = p.email"
_VISIBLE = f"{_PLACED} AND NOT q.flags & {_DELETED}"
_CANDIDATES = (
    f"(SELECT q.* FROM json_each(%(emails)s) c CROSS JOIN {_BY_EMAIL} ON q.account = ?1 AND q.email = c.value"
    f" WHERE c.value <= %(through)s UNION ALL SELECT q.* FROM {_BY_EMAIL} WHERE q.account = ?1"
    " AND q.email > %(through)s)"
)
SORT_COLUMNS = {
    SortKey.ARRIVAL: "e.received",
    SortKey.DATE: "ifnull(e.sent, e.received)",  # RFC 5256 §2.2
    SortKey.SUBJECT: "e.base_subject",
    SortKey.FROM: "e.sender",
    SortKey.TO: "e.recipient",
    SortKey.CC: "e.copied",
    SortKey.SIZE: "e.size",
    SortKey.DISPLAY_FROM: "e.display_from",
    SortKey.DISPLAY_TO: "e.display_to",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched. `viewer` only where \\Seen is not the owner's."""

    account: AccountId
    mailbox: MailboxId | None = None
    viewer: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """What an index says: of emails up to `through` only `emails` can match; it knows nothing of later ones."""

    emails: Collection[int] = ()
    through: int = 0


class Conditions:
    """Gathers the values to be bound while conditions are written."""

    def __init__(self, scope: Scope, keywords: KeywordTable) -> None:
        self.bindings: list[Value] = [scope.account]  # ?1
        if scope.mailbox is not None:
            self.bindings.append(scope.mailbox)  # ?2
        self.needs_email = False
        self._is_mailbox = scope.mailbox is not None
        self._placement = "p" if self._is_mailbox else "q"
        self._viewer = scope.viewer
        self._keywords = keywords

    def bind(self, value: Value) -> str:
        self.bindings.append(value)
        return f"?{len(self.bindings)}"

    def write(self, key: SearchKey) -> str:
        """A condition on `p` (and `e`, see `needs_email`). SentOn only as near as the zones of the world allow."""
        match key:
            case All():
                return "1"
            case Not(of):
                return f"NOT ({self.write(of)})"
            case And(of):
                return _join([self.write(part) for part in of], "AND", "1")
            case Or(of):
                return _join([self.write(part) for part in of], "OR", "0")
            case Received() | ReceivedAt() | SentOn() | Larger() | Smaller() | InThread() | HasAttachment():
                self.needs_email = True
                return self._write_email(key)
            case Contains() | HasHeader():
                raise ValueError("no column answers this")
            case _:
                return self._write_placement(key)

    def write_source(self, candidates: Candidates | None) -> str:
        """The rows p, with their WHERE."""
        placements = "placement"
        if candidates is not None:
            emails, through = self.bind(numbers_json(candidates.emails)), self.bind(candidates.through)
            placements = _CANDIDATES % {"emails": emails, "through": through}
        if self._is_mailbox:
            return f"{placements} p%(join)s WHERE p.account = ?1 AND p.mailbox = ?2"
        shown = f"SELECT DISTINCT 0 AS uid, email FROM {placements} WHERE account = ?1 AND NOT flags & {_DELETED}"
        return f"({shown}) p%(join)s WHERE 1"

    def _write_email(self, key: Received | ReceivedAt | SentOn | Larger | Smaller | InThread | HasAttachment) -> str:
        match key:
            case Received(side, day):
                return self._compare_day("(e.received + e.zone * 60000000)", side, day)
            case ReceivedAt(side, instant):
                return f"e.received / 1e6 {_OPERATORS[side]} {self.bind(instant)}"
            case SentOn(side, day):
                return f"e.sent IS NULL OR {self._compare_day('e.sent', side, day, _ZONES_US)}"
            case Larger(octets):
                return f"e.size > {self.bind(octets)}"
            case Smaller(octets):
                return f"e.size < {self.bind(octets)}"
            case InThread(thread):
                return f"e.thread = {self.bind(thread)}"
            case HasAttachment():
                return "e.attachment"
            case _:
                assert_never(key)

    def _write_placement(self, key: Uids | Emails | InMailbox | HasFlag | Saved | ModifiedSince) -> str:
        match key:
            case Uids(ranges):
                return self._write_uids(ranges) if self._is_mailbox else "0"
            case Emails(ids):
                return f"p.email {_in_list(self.bind(numbers_json(ids)))}"
            case InMailbox(mailbox):
                placed = _PLACED if self._is_mailbox else _VISIBLE
                return f"EXISTS ({placed} AND q.mailbox = {self.bind(mailbox)})"
            case HasFlag(name):
                return self._write_flag(self._keywords.bit_of(name) or 0)
            case Saved(side, day):
                return self._of_placement(self._compare_day(f"{self._placement}.saved", side, day))
            case ModifiedSince(modseq):
                return self._of_placement(f"{self._placement}.modseq >= {self.bind(modseq)}")
            case _:
                assert_never(key)

    def _write_uids(self, ranges: UidSet) -> str:
        if len(ranges) == 1:
            return f"p.uid BETWEEN {self.bind(ranges[0].low)} AND {self.bind(ranges[0].high)}"
        listed = as_list(ranges)
        if listed is not None:
            return f"p.uid {_in_list(self.bind(listed))}"
        return (
            f"p.uid IN (SELECT q.uid FROM json_each({self.bind(ranges_json(ranges))}) r CROSS JOIN placement q"
            " ON q.account = ?1 AND q.mailbox = ?2 AND q.uid BETWEEN r.value ->> 0 AND r.value ->> 1)"
        )

    def _write_flag(self, bit: int) -> str:
        """Of an email in several mailboxes: ms/keywords.py."""
        if not bit:
            return "0"
        if self._is_mailbox:
            if bit == _SEEN and self._viewer is not None:
                return (
                    "EXISTS (SELECT 1 FROM seen s WHERE s.account = ?1 AND s.mailbox = ?2"
                    f" AND s.reader = {self.bind(self._viewer)} AND s.uid = p.uid)"
                )
            return f"p.flags & {self.bind(bit)}"
        if bit == _SEEN:
            return f"NOT EXISTS ({_VISIBLE} AND NOT q.flags & {_SEEN})"
        return f"EXISTS ({_VISIBLE} AND q.flags & {self.bind(bit)})"

    def _of_placement(self, condition: str) -> str:
        return condition if self._is_mailbox else f"EXISTS ({_VISIBLE} AND {condition})"

    def _compare_day(self, column: str, side: Side, day: date, margin_us: int = 0) -> str:
        start = (day.toordinal() - _EPOCH) * _DAY_US
        end = start + _DAY_US + margin_us
        match side:
            case Side.BEFORE:
                return f"{column} < {self.bind(start + margin_us)}"
            case Side.SINCE:
                return f"{column} >= {self.bind(start - margin_us)}"
            case Side.ON:
                return f"{column} >= {self.bind(start - margin_us)} AND {column} < {self.bind(end)}"
            case _:
                assert_never(side)


def _in_list(bound: str) -> str:
    return IN_LIST.replace("?", bound)


def _join(parts: list[str], operator: str, empty: str) -> str:
    """A balanced tree: SQLite takes expressions of a depth up to 1,000."""
    if len(parts) <= 2:
        return f" {operator} ".join(f"({part})" for part in parts) or empty
    middle = len(parts) // 2
    return f"({_join(parts[:middle], operator, empty)}) {operator} ({_join(parts[middle:], operator, empty)})"


def select_matches(
    scope: Scope,
    keywords: KeywordTable,
    program: SearchKey,
    sort: Sequence[SortBy] = (),
    candidates: Candidates | None = None,
) -> tuple[str, list[Value]]:
    """The query for `uid` and `email` of all that match, in the order asked for; nothing is relevant to it."""
    conditions = Conditions(scope, keywords)
    source, where = conditions.write_source(candidates), conditions.write(program)
    order = _order([by for by in sort if by.key is not SortKey.RELEVANCY])
    join = _JOIN_EMAIL if conditions.needs_email or "e." in order else ""
    sql = f"SELECT p.uid AS uid, p.email AS email FROM {source % {'join': join}} AND ({where}) ORDER BY {order}"
    return sql, conditions.bindings


def select_sorted(sort: Sequence[SortBy]) -> str:
    """The query for `uid` and `email` of given triples (UID, email, relevance), the JSON list ?2, in that order."""
    return (
        "SELECT p.uid AS uid, p.email AS email FROM (SELECT value ->> 0 AS uid, value ->> 1 AS email,"
        f" value ->> 2 AS relevance FROM json_each(?2)) p{_JOIN_EMAIL} ORDER BY {_order(sort)}"
    )


def _order(sort: Sequence[SortBy]) -> str:
    """Equals stay in the order of UIDs, or of emails."""
    return ", ".join([*map(_order_by, sort), "p.uid", "p.email"])


def _order_by(by: SortBy) -> str:
    if by.key is SortKey.RELEVANCY:  # more comes first
        return "p.relevance" if by.is_descending else "p.relevance DESC"
    return f"{SORT_COLUMNS[by.key]} DESC" if by.is_descending else SORT_COLUMNS[by.key]
