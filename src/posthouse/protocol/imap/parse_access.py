"""Arguments of ACL (RFC 4314), QUOTA (RFC 9208), METADATA (RFC 5464) and NOTIFY (RFC 5465)."""

from __future__ import annotations

from posthouse.protocol.imap.commands import (
    DeleteAcl,
    GetMetadata,
    GetQuota,
    ListRights,
    Notify,
    SetAcl,
    SetMetadata,
    SetQuota,
)
from posthouse.protocol.imap.parse_fetch import parse_items
from posthouse.protocol.imap.reader import MAX_NUMBER64, Reader, SyntaxProblem
from posthouse.protocol.imap.server_events import ImapLimits
from posthouse.protocol.imap.values import Event, EventGroup, FetchItem, Scope, Source

# -- ACL


def parse_set_acl(reader: Reader, limits: ImapLimits) -> SetAcl:
    mailbox, identifier = _mailbox_and_name(reader)
    reader.space()
    rights = reader.astring("rights")
    mode = rights[:1] if rights[:1] in ("+", "-") else ""
    return SetAcl(mailbox, identifier, mode, rights.removeprefix(mode))


def parse_delete_acl(reader: Reader, limits: ImapLimits) -> DeleteAcl:
    return DeleteAcl(*_mailbox_and_name(reader))


def parse_list_rights(reader: Reader, limits: ImapLimits) -> ListRights:
    return ListRights(*_mailbox_and_name(reader))


def _mailbox_and_name(reader: Reader) -> tuple[str, str]:
    reader.space()
    mailbox = reader.mailbox()
    reader.space()
    return mailbox, reader.astring("an identifier")


# -- QUOTA


def parse_get_quota(reader: Reader, limits: ImapLimits) -> GetQuota:
    reader.space()
    return GetQuota(reader.astring("a quota root"))


def parse_set_quota(reader: Reader, limits: ImapLimits) -> SetQuota:
    reader.space()
    root = reader.astring("a quota root")
    reader.space()

    def read() -> tuple[str, int]:
        name = reader.keyword("a resource")
        reader.space()
        return name, reader.number(most=MAX_NUMBER64)

    return SetQuota(root, tuple(reader.listed(read)))


# -- METADATA


def parse_get_metadata(reader: Reader, limits: ImapLimits) -> GetMetadata:
    """Options may stand before or behind the mailbox: RFC 5464 shows the first, many programs do the other."""
    options: dict[str, int] = {}
    reader.space()
    if reader.has(b"("):
        _metadata_options(reader, options)
        reader.space()
    mailbox = reader.mailbox()
    reader.space()
    if reader.has(b"("):
        entries = _entries_or_options(reader, options)
        if entries is None:
            reader.space()
            entries = _entries(reader)
    else:
        entries = (_entry(reader),)
    return GetMetadata(mailbox, entries, options.get("DEPTH", 0), options.get("MAXSIZE"))


def _entries_or_options(reader: Reader, options: dict[str, int]) -> tuple[str, ...] | None:
    if reader.has(b"(/") or reader.has(b'("') or reader.has(b"({"):
        return _entries(reader)
    _metadata_options(reader, options)
    return None


def _metadata_options(reader: Reader, options: dict[str, int]) -> None:
    def read() -> None:
        name = reader.keyword("MAXSIZE or DEPTH")
        reader.space()
        if name == "MAXSIZE":
            options[name] = reader.number()
        elif name == "DEPTH":
            depth = reader.keyword("a depth")
            if depth not in ("0", "1", "INFINITY"):
                raise SyntaxProblem("DEPTH is 0, 1 or infinity")
            options[name] = -1 if depth == "INFINITY" else int(depth)
        else:
            raise SyntaxProblem(f"GETMETADATA has no option {name}")

    reader.listed(read)


def _entries(reader: Reader) -> tuple[str, ...]:
    if not reader.has(b"("):
        return (_entry(reader),)
    return tuple(reader.listed(lambda: _entry(reader), may_be_empty=False))


def _entry(reader: Reader) -> str:
    name = reader.astring("an entry").lower()
    if not name.startswith("/") or "//" in name or name.endswith("/") or "*" in name or "%" in name:
        raise SyntaxProblem("An entry is like /private/comment")  # RFC 5464 §3.2
    return name


def parse_set_metadata(reader: Reader, limits: ImapLimits) -> SetMetadata:
    reader.space()
    mailbox = reader.mailbox()
    reader.space()

    def read() -> tuple[str, bytes | None]:
        entry = _entry(reader)
        reader.space()
        if reader.accept_word(b"NIL"):
            return entry, None
        if reader.has_literal:
            return entry, reader.literal().octets
        return entry, reader.string_octets("a value or NIL")

    return SetMetadata(mailbox, tuple(reader.listed(read, may_be_empty=False)))


# -- NOTIFY

_EVENTS = {event.value.upper(): event for event in Event}
_SCOPES = {scope.value.upper(): scope for scope in Scope}
_WITH_NAMES = frozenset({Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES})


def parse_notify(reader: Reader, limits: ImapLimits) -> Notify:
    reader.space()
    mode = reader.keyword("SET or NONE")
    if mode == "NONE":
        return Notify()
    if mode != "SET":
        raise SyntaxProblem("NOTIFY wants SET or NONE")
    reader.space()
    wants_status = reader.accept_word(b"STATUS")
    if wants_status:
        reader.space()
    groups = [_event_group(reader)]
    while reader.accept(b" "):
        groups.append(_event_group(reader))
    return Notify(tuple(groups), wants_status)


def _event_group(reader: Reader) -> EventGroup:
    if not reader.open():
        reader.fail('"("')
    source = parse_source(reader)
    reader.space()
    if reader.accept_word(b"NONE"):
        reader.close()
        return EventGroup(source)
    fetch: list[FetchItem] = []

    def read() -> Event:
        name = reader.keyword("an event")
        event = _EVENTS.get(name)
        if event is None:
            raise SyntaxProblem(f"There is no event {name}", b"BADEVENT (%b)" % _known_events(), b"NO")
        if event is Event.MESSAGE_NEW and reader.has(b" ("):
            reader.space()
            fetch.extend(parse_items(reader))
        return event

    events = frozenset(reader.listed(read, may_be_empty=False))
    reader.close()
    return EventGroup(source, events, tuple(fetch))


def _known_events() -> bytes:
    return b" ".join(event.value.encode("ascii") for event in Event if event is not Event.ANNOTATION_CHANGE)


def parse_source(reader: Reader) -> Source:
    """filter-mailboxes of RFC 5465 §8 and RFC 7377 §3."""
    name = reader.keyword("which mailboxes")
    scope = _SCOPES.get(name)
    if scope is None:
        raise SyntaxProblem(f"{name} names no mailboxes")
    if scope not in _WITH_NAMES:
        return Source(scope)
    reader.space()
    if reader.has(b"("):
        return Source(scope, tuple(reader.listed(reader.mailbox, may_be_empty=False)))
    return Source(scope, (reader.mailbox(),))
