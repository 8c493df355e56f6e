"""Arguments of commands on messages: FETCH, STORE, COPY, MOVE, EXPUNGE, APPEND (RFC 9051 §6.3.12, §6.4), modifiers
of RFC 7162 and RFC 9394, MULTIAPPEND (RFC 3502), CATENATE (RFC 4469), REPLACE (RFC 8508), UTF8 (RFC 9755), UIDBATCHES
(RFC 10022), UID SUBMIT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from posthouse.protocol.imap.commands import (
    Append,
    Copy,
    Expunge,
    Fetch,
    Move,
    Replace,
    Store,
    UidBatches,
    UidSubmit,
)
from posthouse.protocol.imap.parse_fetch import parse_items
from posthouse.protocol.imap.reader import MAX_NUMBER64, Reader, SyntaxProblem
from posthouse.protocol.imap.server_events import ImapLimits
from posthouse.protocol.imap.values import (
    SAVED_RESULT,
    AppendMessage,
    Moment,
    PartialRange,
    SequenceSet,
    StoreMode,
    Url,
)

_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-([0-9]{4})'
    rb' ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"',
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTIAL_RANGE = re.compile(rb"(-?[1-9][0-9]{0,9}):(-?[1-9][0-9]{0,9})")


def messages_of(reader: Reader) -> SequenceSet:
    """sequence-set with "$" (RFC 5182)."""
    return SAVED_RESULT if reader.accept(b"$") else SequenceSet(reader.sequence_set())


def parse_partial(reader: Reader) -> PartialRange:
    """partial-range of RFC 9394 §3.1."""
    found = reader.match(_PARTIAL_RANGE)
    if found is None:
        reader.fail("a range like 1:100 or -1:-100")
    first, last = int(found[1]), int(found[2])
    if (first < 0) != (last < 0):
        raise SyntaxProblem("Both ends of a partial range count from the same side")
    return PartialRange(first, last) if abs(first) <= abs(last) else PartialRange(last, first)


# -- FETCH, STORE


def parse_fetch(reader: Reader, limits: ImapLimits, is_uid: bool) -> Fetch:
    reader.space()
    messages = messages_of(reader)
    reader.space()
    items = parse_items(reader)
    if not reader.accept(b" "):
        return Fetch(messages, items, is_uid)
    since: list[int] = []
    partial: list[PartialRange] = []
    vanished = False

    def read() -> None:
        nonlocal vanished
        name = reader.keyword("a modifier of FETCH")
        if name == "VANISHED":
            vanished = True
            return
        reader.space()
        if name == "CHANGEDSINCE":
            since.append(reader.number("a modification sequence", most=MAX_NUMBER64, least=1))
        elif name == "PARTIAL":
            partial.append(parse_partial(reader))
        else:
            raise SyntaxProblem(f"FETCH has no modifier {name}")

    reader.listed(read, may_be_empty=False)
    if vanished and not (since and is_uid):
        raise SyntaxProblem("VANISHED is for UID FETCH with CHANGEDSINCE")  # RFC 7162 §3.2.6
    return Fetch(messages, items, is_uid, since[0] if since else None, vanished, partial[0] if partial else None)


_STORE = re.compile(rb"([+-]?FLAGS)(\.SILENT)?(?= )", re.IGNORECASE)


def parse_store(reader: Reader, limits: ImapLimits, is_uid: bool) -> Store:
    reader.space()
    messages = messages_of(reader)
    reader.space()
    unchanged_since = None
    if reader.open():
        if reader.keyword("UNCHANGEDSINCE") != "UNCHANGEDSINCE":
            raise SyntaxProblem("STORE has no modifier but UNCHANGEDSINCE")
        reader.space()
        unchanged_since = reader.number("a modification sequence", most=MAX_NUMBER64)
        reader.close()
        reader.space()
    found = reader.match(_STORE)
    if found is None:
        reader.fail("FLAGS, +FLAGS or -FLAGS")
    reader.space()
    if reader.has(b"("):
        flags = reader.listed(reader.flag)
    else:
        flags = [reader.flag()]
        while reader.accept(b" "):
            flags.append(reader.flag())
    mode = StoreMode(found[1].decode("ascii").upper())
    return Store(messages, mode, tuple(dict.fromkeys(flags)), bool(found[2]), is_uid, unchanged_since)


def parse_copy(reader: Reader, limits: ImapLimits, is_uid: bool) -> Copy:
    return Copy(*_messages_and_mailbox(reader), is_uid)


def parse_move(reader: Reader, limits: ImapLimits, is_uid: bool) -> Move:
    return Move(*_messages_and_mailbox(reader), is_uid)


def _messages_and_mailbox(reader: Reader) -> tuple[SequenceSet, str]:
    reader.space()
    messages = messages_of(reader)
    reader.space()
    return messages, reader.mailbox()


def parse_uid_expunge(reader: Reader, limits: ImapLimits) -> Expunge:
    reader.space()
    return Expunge(messages_of(reader))


def parse_uid_batches(reader: Reader, limits: ImapLimits) -> UidBatches:
    reader.space()
    size = reader.number("the size of a batch", least=1)
    if not reader.accept(b" "):
        return UidBatches(size)
    first = reader.number("the number of a batch", least=1)
    last = first
    if reader.accept(b":"):
        last = reader.number("the number of a batch", least=1)
    return UidBatches(size, first, last)


# -- APPEND, REPLACE


_WRAPPED = b"UTF8 ("  # Python's imaplib puts it into the literal (after UTF8=ACCEPT); no message begins so


def parse_append(reader: Reader, limits: ImapLimits) -> Append:
    reader.space()
    mailbox = reader.mailbox()
    messages: list[AppendMessage] = []
    while reader.accept(b" "):
        if messages:
            reader.accept(b" ")  # IMAPClient puts two behind a message
        messages.append(_append_message(reader))
        if len(messages) > limits.messages_per_append:
            raise SyntaxProblem(f"At most {limits.messages_per_append} messages in one command", b"LIMIT", b"NO")
    if not messages:
        reader.fail("a message")
    return Append(mailbox, tuple(messages))


def parse_replace(reader: Reader, limits: ImapLimits, is_uid: bool) -> Replace:
    reader.space()
    message = SequenceSet(reader.sequence_set())
    if len(message.ranges) != 1 or message.ranges[0][0] != message.ranges[0][1]:
        raise SyntaxProblem("REPLACE wants one message")
    reader.space()
    mailbox = reader.mailbox()
    reader.space()
    return Replace(message, mailbox, _append_message(reader), is_uid)


def _append_message(reader: Reader) -> AppendMessage:
    flags: list[str] = []
    date = None
    if reader.has(b"("):
        flags = [flag for flag in reader.listed(reader.flag) if flag != "\\Recent"]
        reader.space()
    if reader.has(b'"'):
        date = _date_time(reader)
        reader.space()
    if reader.accept_word(b"CATENATE"):
        reader.space()
        parts, is_binary = _catenate(reader)
        return AppendMessage(tuple(parts), tuple(flags), date, is_binary=is_binary)
    if reader.accept_word(b"UTF8"):
        reader.space()
        if not reader.open():
            reader.fail('"("')
        literal = reader.literal()
        reader.close()
        return AppendMessage((literal.octets,), tuple(flags), date, is_utf8=True)
    if not reader.has_literal:
        reader.fail("a literal with the message")
    literal = reader.literal()
    octets = literal.octets
    if octets.startswith(_WRAPPED) and octets.endswith(b")"):
        return AppendMessage((octets[len(_WRAPPED) : -1],), tuple(flags), date, is_utf8=True)
    return AppendMessage((octets,), tuple(flags), date, is_binary=literal.is_binary)


def _catenate(reader: Reader) -> tuple[list[bytes | Url], bool]:
    """RFC 4469 §5; and whether a part came as literal8."""
    is_binary = False

    def read() -> bytes | Url:
        nonlocal is_binary
        kind = reader.keyword("TEXT or URL")
        reader.space()
        if kind == "URL":
            return Url(reader.astring("a URL"))
        if kind != "TEXT":
            raise SyntaxProblem("CATENATE has parts of TEXT and URL")
        literal = reader.literal()
        is_binary |= literal.is_binary
        return literal.octets

    return reader.listed(read, may_be_empty=False), is_binary


def _date_time(reader: Reader) -> Moment:
    found = reader.match(_DATE_TIME)
    if found is None:
        reader.fail("a date like 17-Jul-1996 02:44:25 -0700")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = (
        part.decode("ascii") for part in found.groups()
    )
    zone = (int(zone_hours) * 60 + int(zone_minutes)) * (-1 if sign == "-" else 1)
    try:
        local = datetime(
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            tzinfo=UTC,
        )
        at = local - timedelta(minutes=zone)
    except (ValueError, OverflowError):
        raise SyntaxProblem("There is no such date") from None
    if abs(zone) > 24 * 60 or int(zone_minutes) > 59:
        raise SyntaxProblem("There is no such zone")
    return Moment((at - _EPOCH).total_seconds(), zone)


# -- UID SUBMIT


_DSN = re.compile(rb" DSN ", re.IGNORECASE)
_REPORTS = frozenset({"SUCCESS", "FAILURE", "DELAY"})


def parse_uid_submit(reader: Reader, limits: ImapLimits) -> UidSubmit:
    """Options: FROM, RECIPIENT (again and again), each with the DSN parameters that follow it, DSN-ENVID, DSN-RET."""
    reader.space()
    messages = messages_of(reader)
    if not reader.accept(b" "):
        return UidSubmit(messages)
    sender: list[str] = []
    recipients: list[tuple[str, Mapping[str, str | None]]] = []
    options: dict[str, str | None] = {}

    def read() -> None:
        name = reader.keyword("an option of SUBMIT")
        reader.space()
        if name == "FROM":
            sender.append(reader.astring("an address"))
        elif name == "RECIPIENT":
            recipients.append((reader.astring("an address"), _dsn(reader)))
        elif name in ("DSN-ENVID", "DSN-RET"):
            options[name.removeprefix("DSN-")] = reader.astring()
        else:
            raise SyntaxProblem(f"SUBMIT has no option {name}")

    reader.listed(read)
    if len(sender) > 1:
        raise SyntaxProblem("FROM stands there twice")
    return UidSubmit(messages, sender[0] if sender else None, tuple(recipients), options)


def _dsn(reader: Reader) -> Mapping[str, str | None]:
    """` DSN NONE` or ` DSN (SUCCESS ...)` behind a recipient, if it is there; as RFC 3461 §4.1 has it."""
    if reader.match(_DSN) is None:
        return {}
    if reader.accept_word(b"NONE"):
        return {"NOTIFY": "NEVER"}
    words = reader.listed(lambda: reader.keyword("SUCCESS, FAILURE or DELAY"), may_be_empty=False)
    if not _REPORTS.issuperset(words) or len(set(words)) != len(words):
        raise SyntaxProblem("DSN is NONE, or some of SUCCESS, FAILURE and DELAY")
    return {"NOTIFY": ",".join(words)}
