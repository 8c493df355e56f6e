"""Which command is which: name, state and parser of each (RFC 9051 §6). Arguments are read by the parse_* modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from posthouse.protocol.imap import commands as c
from posthouse.protocol.imap import parse_access as access
from posthouse.protocol.imap import parse_basic as basic
from posthouse.protocol.imap import parse_mailboxes as mailboxes
from posthouse.protocol.imap import parse_messages as messages
from posthouse.protocol.imap import parse_search as search
from posthouse.protocol.imap.commands import Request
from posthouse.protocol.imap.reader import Literal, Reader, SyntaxProblem
from posthouse.protocol.imap.server_events import ImapLimits, State

_START = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,100}) ([A-Za-z0-9]+)(?: ([A-Za-z0-9]+))?')
_ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
_NOT_YET = frozenset({State.NOT_AUTHENTICATED})
_INSIDE = frozenset({State.AUTHENTICATED, State.SELECTED})
_SELECTED = frozenset({State.SELECTED})

Parse = Callable[[Reader, ImapLimits], Request]


class Core(Protocol):
    """What of the core a parser must know."""

    state: State
    is_utf8: bool
    is_uid_only: bool

    @property
    def limits(self) -> ImapLimits: ...


def _plain(make: Callable[[], Request]) -> Parse:
    return lambda reader, limits: make()


_COMMANDS: Mapping[str, tuple[frozenset[State], Parse]] = {
    "CAPABILITY": (_ANY, _plain(c.Capability)),
    "NOOP": (_ANY, _plain(c.Noop)),
    "LOGOUT": (_ANY, _plain(c.Logout)),
    "ID": (_ANY, basic.parse_id),
    "STARTTLS": (_NOT_YET, _plain(c.StartTls)),
    "AUTHENTICATE": (_NOT_YET, basic.parse_authenticate),
    "LOGIN": (_NOT_YET, basic.parse_login),
    "ENABLE": (_INSIDE, basic.parse_enable),
    "IDLE": (_INSIDE, _plain(c.Idle)),
    "COMPRESS": (_INSIDE, basic.parse_compress),
    "UNAUTHENTICATE": (_INSIDE, _plain(c.Unauthenticate)),
    "SELECT": (_INSIDE, mailboxes.parse_select),
    "EXAMINE": (_INSIDE, mailboxes.parse_examine),
    "CREATE": (_INSIDE, mailboxes.parse_create),
    "DELETE": (_INSIDE, lambda reader, limits: c.Delete(mailboxes.one_mailbox(reader))),
    "RENAME": (_INSIDE, mailboxes.parse_rename),
    "SUBSCRIBE": (_INSIDE, lambda reader, limits: c.Subscribe(mailboxes.one_mailbox(reader))),
    "UNSUBSCRIBE": (_INSIDE, lambda reader, limits: c.Unsubscribe(mailboxes.one_mailbox(reader))),
    "LIST": (_INSIDE, mailboxes.parse_list),
    "LSUB": (_INSIDE, mailboxes.parse_lsub),
    "NAMESPACE": (_INSIDE, _plain(c.Namespace)),
    "STATUS": (_INSIDE, mailboxes.parse_status),
    "APPEND": (_INSIDE, messages.parse_append),
    "GETACL": (_INSIDE, lambda reader, limits: c.GetAcl(mailboxes.one_mailbox(reader))),
    "SETACL": (_INSIDE, access.parse_set_acl),
    "DELETEACL": (_INSIDE, access.parse_delete_acl),
    "LISTRIGHTS": (_INSIDE, access.parse_list_rights),
    "MYRIGHTS": (_INSIDE, lambda reader, limits: c.MyRights(mailboxes.one_mailbox(reader))),
    "GETQUOTA": (_INSIDE, access.parse_get_quota),
    "GETQUOTAROOT": (_INSIDE, lambda reader, limits: c.GetQuotaRoot(mailboxes.one_mailbox(reader))),
    "SETQUOTA": (_INSIDE, access.parse_set_quota),
    "GETMETADATA": (_INSIDE, access.parse_get_metadata),
    "SETMETADATA": (_INSIDE, access.parse_set_metadata),
    "NOTIFY": (_INSIDE, access.parse_notify),
    "ESEARCH": (_INSIDE, search.parse_esearch),
    "CHECK": (_SELECTED, _plain(c.Check)),
    "CLOSE": (_SELECTED, _plain(c.Close)),
    "UNSELECT": (_SELECTED, _plain(c.Unselect)),
    "EXPUNGE": (_SELECTED, _plain(c.Expunge)),
    "CANCELUPDATE": (_SELECTED, search.parse_cancel_update),
    "UIDBATCHES": (_SELECTED, messages.parse_uid_batches),
    "UID EXPUNGE": (_SELECTED, messages.parse_uid_expunge),
    "UID SUBMIT": (_SELECTED, messages.parse_uid_submit),
}


def _by_number_or_uid(parse: Callable[[Reader, ImapLimits, bool], Request]) -> tuple[Parse, Parse]:
    def by_number(reader: Reader, limits: ImapLimits) -> Request:
        return parse(reader, limits, False)

    def by_uid(reader: Reader, limits: ImapLimits) -> Request:
        return parse(reader, limits, True)

    return by_number, by_uid


_BOTH: Mapping[str, tuple[Parse, Parse]] = {
    "FETCH": _by_number_or_uid(messages.parse_fetch),
    "STORE": _by_number_or_uid(messages.parse_store),
    "COPY": _by_number_or_uid(messages.parse_copy),
    "MOVE": _by_number_or_uid(messages.parse_move),
    "REPLACE": _by_number_or_uid(messages.parse_replace),
    "SEARCH": _by_number_or_uid(search.parse_search),
    "SORT": _by_number_or_uid(search.parse_sort),
    "THREAD": _by_number_or_uid(search.parse_thread),
}


def parse_command(texts: Sequence[bytes], literals: Sequence[Literal], core: Core) -> tuple[bytes, Request]:
    """The tag and the command. Raises SyntaxProblem."""
    start = _START.match(texts[0])
    if start is None:
        raise SyntaxProblem("Expected a tag and a command")
    name, end = start[2].decode("ascii").upper(), start.end(2)
    if name == "UID" and start[3] is not None:
        name, end = f"UID {start[3].decode('ascii').upper()}", start.end(3)
    states, parse = _find(name, core)
    if core.state not in states:
        _refuse_state(name, core.state, states)
    reader = Reader(
        texts, literals, at=end, is_utf8=core.is_utf8, is_uid_only=core.is_uid_only, depth=core.limits.depth
    )
    request = parse(reader, core.limits)
    reader.end()
    return start[1], request


def _find(name: str, core: Core) -> tuple[frozenset[State], Parse]:
    known = _COMMANDS.get(name)
    if known is not None:
        return known
    both = _BOTH.get(name.removeprefix("UID "))
    if both is None:
        raise SyntaxProblem(f"There is no command {name[:40]}")
    if name.startswith("UID "):
        return _SELECTED, both[1]
    if core.is_uid_only and core.state is State.SELECTED:
        raise SyntaxProblem(f"UIDONLY is enabled: say UID {name}", b"UIDREQUIRED")
    return _SELECTED, both[0]


def _refuse_state(name: str, state: State, states: frozenset[State]) -> None:
    if state is State.NOT_AUTHENTICATED:
        raise SyntaxProblem("Log in first")
    if state is State.AUTHENTICATED and states == _SELECTED:
        raise SyntaxProblem("Select a mailbox first")
    raise SyntaxProblem(f"{name} is not for this state")
