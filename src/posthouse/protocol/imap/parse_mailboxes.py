"""Arguments of commands on mailboxes: SELECT with QRESYNC (RFC 7162 §3.2.5), CREATE (RFC 6154 §3), LIST in every form
(RFC 5258, RFC 5819, RFC 6154, RFC 8440, RFC 9590), STATUS.
"""

from __future__ import annotations

from posthouse.protocol.imap.commands import Create, List, Lsub, Rename, Select, Status
from posthouse.protocol.imap.reader import MAX_NUMBER64, Reader, SyntaxProblem
from posthouse.protocol.imap.server_events import ImapLimits
from posthouse.protocol.imap.values import ListReturn, ListSelect, Qresync, SequenceSet, StatusItem


def one_mailbox(reader: Reader) -> str:
    reader.space()
    return reader.mailbox()


def _new_mailbox(reader: Reader) -> str:
    reader.space()
    return reader.mailbox(b"CANNOT")


# -- SELECT


def parse_select(reader: Reader, limits: ImapLimits) -> Select:
    return _parse_select(reader, is_read_only=False)


def parse_examine(reader: Reader, limits: ImapLimits) -> Select:
    return _parse_select(reader, is_read_only=True)


def _parse_select(reader: Reader, *, is_read_only: bool) -> Select:
    mailbox = one_mailbox(reader)
    if not reader.accept(b" "):
        return Select(mailbox, is_read_only)
    found: dict[str, Qresync | None] = {}

    def read() -> None:
        name = reader.keyword("a parameter of SELECT")
        if name in found or name not in ("CONDSTORE", "QRESYNC"):
            raise SyntaxProblem(f"SELECT has no parameter {name}, or it stands there twice")
        found[name] = _parse_qresync(reader) if name == "QRESYNC" else None

    reader.listed(read, may_be_empty=False)
    return Select(mailbox, is_read_only, "CONDSTORE" in found, found.get("QRESYNC"))


def _parse_qresync(reader: Reader) -> Qresync:
    reader.space()
    if not reader.open():
        reader.fail('"("')
    uidvalidity = reader.number("UIDVALIDITY", least=1)
    reader.space()
    modseq = reader.number("a modification sequence", most=MAX_NUMBER64)
    known = None
    pairs = None
    if reader.accept(b" "):
        if not reader.has(b"("):
            known = _known_set(reader)
            if reader.accept(b" "):
                pairs = _parse_pairs(reader)
        else:
            pairs = _parse_pairs(reader)
    reader.close()
    return Qresync(uidvalidity, modseq, known, pairs)


def _parse_pairs(reader: Reader) -> tuple[SequenceSet, SequenceSet]:
    if reader.is_uid_only:
        raise SyntaxProblem("UIDONLY is enabled: name no sequence numbers", b"UIDREQUIRED")  # RFC 9586 §3
    if not reader.open():
        reader.fail('"("')
    numbers = _known_set(reader)
    reader.space()
    uids = _known_set(reader)
    reader.close()
    return numbers, uids


def _known_set(reader: Reader) -> SequenceSet:
    ranges = reader.sequence_set()
    if any(0 in pair for pair in ranges):
        raise SyntaxProblem('"*" is not allowed among known messages')
    return SequenceSet(ranges)


# -- names


def parse_create(reader: Reader, limits: ImapLimits) -> Create:
    mailbox = _new_mailbox(reader)
    if not reader.accept(b" "):
        return Create(mailbox)
    uses: list[str] = []

    def read() -> None:
        if reader.keyword("USE") != "USE":
            raise SyntaxProblem("CREATE has no parameter but USE")
        reader.space()
        uses.extend(reader.listed(reader.flag))

    reader.listed(read)
    return Create(mailbox, tuple(uses))


def parse_rename(reader: Reader, limits: ImapLimits) -> Rename:
    return Rename(one_mailbox(reader), _new_mailbox(reader))


def parse_status(reader: Reader, limits: ImapLimits) -> Status:
    mailbox = one_mailbox(reader)
    reader.space()
    return Status(mailbox, _status_items(reader))


def _status_items(reader: Reader) -> tuple[StatusItem, ...]:
    def read() -> StatusItem:
        name = reader.keyword("an item of STATUS")
        try:
            return StatusItem(name)
        except ValueError:
            raise SyntaxProblem(f"STATUS has no item {name}") from None

    return tuple(dict.fromkeys(reader.listed(read, may_be_empty=False)))


# -- LIST


def parse_lsub(reader: Reader, limits: ImapLimits) -> Lsub:
    reader.space()
    reference = reader.mailbox()
    reader.space()
    return Lsub(reference, reader.list_mailbox())


def parse_list(reader: Reader, limits: ImapLimits) -> List:
    reader.space()
    is_extended = reader.has(b"(")
    select = _parse_selection(reader) if is_extended else frozenset()
    reference = reader.mailbox()
    reader.space()
    if reader.has(b"("):
        is_extended = True
        patterns = tuple(reader.listed(reader.list_mailbox, may_be_empty=False))
    else:
        patterns = (reader.list_mailbox(),)
    if not reader.accept(b" "):
        return List(reference, patterns, select, is_extended=is_extended)
    if reader.keyword("RETURN") != "RETURN":
        raise SyntaxProblem("Expected RETURN and its options")
    reader.space()
    returns, status, metadata = _parse_returns(reader)
    return List(reference, patterns, select, returns, status, metadata, is_extended=True)


def _parse_selection(reader: Reader) -> frozenset[ListSelect]:
    def read() -> ListSelect:
        name = reader.keyword("an option of LIST")
        try:
            return ListSelect(name)
        except ValueError:
            raise SyntaxProblem(f"LIST has no selection option {name}") from None

    found = frozenset(reader.listed(read))
    reader.space()
    if ListSelect.RECURSIVEMATCH in found and not found & {ListSelect.SUBSCRIBED, ListSelect.SPECIAL_USE}:
        raise SyntaxProblem("RECURSIVEMATCH needs another selection option")  # RFC 5258 §3.1
    return found


def _parse_returns(reader: Reader) -> tuple[frozenset[ListReturn], tuple[StatusItem, ...], tuple[str, ...]]:
    found: set[ListReturn] = set()
    status: list[StatusItem] = []
    metadata: list[str] = []

    def read() -> None:
        name = reader.keyword("a return option of LIST")
        if name == "STATUS":
            reader.space()
            status.extend(_status_items(reader))
        elif name == "METADATA":
            reader.space()
            metadata.extend(reader.listed(lambda: reader.astring("an entry").lower(), may_be_empty=False))
        else:
            try:
                found.add(ListReturn(name))
            except ValueError:
                raise SyntaxProblem(f"LIST has no return option {name}") from None

    reader.listed(read)
    return frozenset(found), tuple(status), tuple(metadata)
