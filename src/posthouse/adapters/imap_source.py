"""Reading all mailboxes of a user on another IMAP server.

Mailboxes of the user's own namespace, with hierarchy and special use; flags, keywords and INTERNALDATE come along. The
mailboxes are opened for reading only and nothing is marked as seen. The position in a mailbox is UIDVALIDITY and UID;
a mailbox whose UIDVALIDITY changed since is not read again by itself. Of Gmail, whose mailboxes are labels of one
collection, that collection is read once, with its labels, and what is not in it (spam, trash). What one message does
to the server (NO to its FETCH) costs only that message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from posthouse.adapters.imap_client import ImapClient, ImapRefusal, as_pairs
from posthouse.message.dates import parse_date
from posthouse.message.mailbox import Role, UidSet
from posthouse.message.modified_utf7 import decode_name
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.transfer import Letter, TransferError
from posthouse.protocol.imap.responses import TOO_LONG, Item, Response, quote_string

_CHUNK = 100  # messages asked for at once
_FETCH = b"UID FLAGS INTERNALDATE BODY.PEEK[]"
_FETCH_LABELS = b"X-GM-LABELS " + _FETCH
_ROLES = {
    b"\\ARCHIVE": Role.ARCHIVE,
    b"\\DRAFTS": Role.DRAFTS,
    b"\\JUNK": Role.JUNK,
    b"\\SENT": Role.SENT,
    b"\\TRASH": Role.TRASH,
}
_NOT_THERE = {b"\\NOSELECT", b"\\NONEXISTENT"}
_VIRTUAL = {b"\\FLAGGED", b"\\IMPORTANT"}  # RFC 6154 §2, RFC 8457 §3: what is in other mailboxes
_UIDVALIDITY = re.compile(rb"\[UIDVALIDITY (\d+)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Remote:
    """A mailbox there: `name` as the server writes it. `is_all`: it has the mail of all others (RFC 6154 §2)."""

    name: bytes
    path: tuple[str, ...]
    role: Role | None
    is_all: bool = False


@dataclass(frozen=True, slots=True)
class ImapChoice:
    """`only`: these mailboxes; none: all. `without`: not these. `below`: where everything goes. Names as people see
    them, with "/".
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


class ImapSource:
    """A `ports.transfer.Source`. `connect` gives a client that is logged in; it is called once, in `letters`."""

    batch = _CHUNK

    def __init__(self, account: str, connect: Callable[[], ImapClient], choice: ImapChoice) -> None:
        self._connect, self._choice = connect, choice
        self.key = sha256("\0".join(("imap", account, *choice.below)).encode()).digest()[:16]
        self._client: ImapClient | None = None
        self.total = 0
        self.already = 0
        self._items = _FETCH

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        client = self._client = self._connect()
        remotes = [remote for remote in list_mailboxes(client) if self._is_wanted(remote)]
        missing = set(self._choice.only) - {"/".join(remote.path) for remote in remotes}
        if missing:
            raise TransferError(f"no such mailbox there: {', '.join(sorted(missing))}")
        self._items = _FETCH
        if b"X-GM-EXT-1" in client.capabilities and not (self._choice.only or self._choice.below):
            self._items = _FETCH_LABELS
            remotes = [remote for remote in remotes if remote.is_all or remote.role in (Role.JUNK, Role.TRASH)]
        self.total = sum(_count_messages(client, remote) for remote in remotes)
        for remote in remotes:
            yield from self._read_mailbox(client, remote, marks)

    def _is_wanted(self, remote: Remote) -> bool:
        name = "/".join(remote.path)
        return name not in self._choice.without and (not self._choice.only or name in self._choice.only)

    def _read_mailbox(self, client: ImapClient, remote: Remote, marks: Mapping[str, str]) -> Iterator[Letter]:
        name = remote.name.decode("latin-1")
        role = None if self._choice.below else remote.role
        path = (*self._choice.below, *remote.path)
        has_labels = remote.is_all and self._items == _FETCH_LABELS
        if not has_labels:
            yield Letter(name, "", path, b"", role=role, is_mailbox=True, weight=0)
        validity = _open_mailbox(client, remote)
        then, last = map(int, marks.get(name, f"{validity} 0").split())
        if then != validity:
            yield Letter(name, "", path, b"", problem="was made anew since it was imported; --again imports it all")
            return
        uids = _find_uids(client)
        self.already += sum(uid <= last for uid in uids)
        self.total -= sum(uid <= last for uid in uids)
        for uid, answer in fetch_all(client, [uid for uid in uids if uid > last], self._items):
            last = max(last, uid)
            letter = Letter(name, f"{validity} {last}", path, b"", role=role)
            fill_letter(letter, answer)
            if has_labels and not isinstance(answer, str):
                letter.labels = _read_labels(answer)
            yield letter


# -- what is there


def list_mailboxes(client: ImapClient) -> list[Remote]:
    """The user's own, INBOX first, parents before children."""
    mine, others = _list_namespaces(client)
    wants_roles = b"SPECIAL-USE" in client.capabilities and b"LIST-EXTENDED" in client.capabilities
    remotes = []
    for response in client.run(b'LIST "" "*"' + (b" RETURN (SPECIAL-USE)" if wants_roles else b"")):
        if response.kind == b"LIST":
            remote = _read_listed(response, mine, others)
            if remote is not None:
                remotes.append(remote)
    return sorted(remotes, key=lambda remote: (remote.path != ("INBOX",), remote.path))


def _read_listed(response: Response, mine: Sequence[bytes], others: Sequence[bytes]) -> Remote | None:
    items = response.items or []
    if len(items) < 3 or not isinstance(items[0], list) or not isinstance(items[2], bytes):
        raise TransferError("the server lists a mailbox in no way we know")
    attributes = {each.upper() for each in items[0] if isinstance(each, bytes)}
    delimiter, name = items[1], items[2]
    if attributes & (_NOT_THERE | _VIRTUAL):
        return None
    if name.upper() == b"INBOX":
        return Remote(name, ("INBOX",), Role.INBOX)
    prefix = max((each for each in (*mine, *others) if name.startswith(each)), key=len, default=b"")
    if prefix in others and prefix not in mine:
        return None
    short = name[len(prefix) :]
    parts = short.split(delimiter) if isinstance(delimiter, bytes) and delimiter else [short]
    role = next((_ROLES[each] for each in sorted(attributes) if each in _ROLES), None)
    path = tuple(decode_name(part) for part in parts if part)
    return Remote(name, path, role, b"\\ALL" in attributes) if path else None


def _list_namespaces(client: ImapClient) -> tuple[list[bytes], list[bytes]]:
    """Prefixes of the user's own and of others' mailboxes (RFC 2342 §5)."""
    if b"NAMESPACE" not in client.capabilities:
        return [b""], []
    for response in client.run(b"NAMESPACE"):
        if response.kind == b"NAMESPACE" and response.items:
            mine, *others = (_prefixes(item) for item in response.items)
            return mine or [b""], [prefix for some in others for prefix in some]
    return [b""], []


def _prefixes(item: Item) -> list[bytes]:
    spaces = item if isinstance(item, list) else []
    return [each[0] for each in spaces if isinstance(each, list) and each and isinstance(each[0], bytes)]


def _quote(name: bytes) -> bytes:
    quoted = quote_string(name)
    if quoted is None:
        raise TransferError(f"a mailbox has a name we cannot ask for: {name!r}")
    return quoted


def _count_messages(client: ImapClient, remote: Remote) -> int:
    try:
        for response in client.run(b"STATUS " + _quote(remote.name) + b" (MESSAGES)"):
            if response.kind == b"STATUS" and response.items:
                count = as_pairs(response.items[-1]).get(b"MESSAGES")
                return int(count) if isinstance(count, bytes) and count.isdigit() else 0
    except ImapRefusal:
        return 0
    return 0


def _open_mailbox(client: ImapClient, remote: Remote) -> int:
    """Its UIDVALIDITY."""
    for response in client.run(b"EXAMINE " + _quote(remote.name)):
        found = _UIDVALIDITY.search(response.text)
        if found is not None:
            return int(found[1])
    raise TransferError(f"{'/'.join(remote.path)}: the server gives no UIDVALIDITY")


def _find_uids(client: ImapClient) -> list[int]:
    uids: list[int] = []
    for response in client.run(b"UID SEARCH ALL"):
        if response.kind == b"SEARCH":
            uids += [int(item) for item in response.items or () if isinstance(item, bytes) and item.isdigit()]
    return sorted(set(uids))


# -- messages


def fetch_all(
    client: ImapClient, uids: Sequence[int], items: bytes
) -> Iterator[tuple[int, Mapping[bytes, Item] | str]]:
    """Each with what was answered, or why there is nothing. Those that are gone by now are left out."""
    for start in range(0, len(uids), _CHUNK):
        yield from _fetch_chunk(client, uids[start : start + _CHUNK], items)


def _fetch_chunk(
    client: ImapClient, chunk: Sequence[int], items: bytes
) -> Iterator[tuple[int, Mapping[bytes, Item] | str]]:
    """Servers answer in the order of UIDs."""
    last, left = 0, set(chunk)
    try:
        for response in client.responses(client.send(b"UID FETCH %s (%s)" % (write_set(from_sorted(chunk)), items))):
            answer = as_pairs(response.items[0]) if response.kind == b"FETCH" and response.items else {}
            uid = _read_uid(answer)
            if uid in left and b"BODY[]" in answer:  # else it only tells of flags
                left.discard(uid)
                last = max(last, uid)
                yield uid, answer
    except ImapRefusal as refusal:
        if len(chunk) == 1:
            yield chunk[0], f"message {chunk[0]}: {refusal}"
            return
        for uid in sorted(each for each in left if each > last):
            yield from _fetch_chunk(client, [uid], items)


def _read_uid(answer: Mapping[bytes, Item]) -> int:
    uid = answer.get(b"UID")
    return int(uid) if isinstance(uid, bytes) and uid.isdigit() else 0


def _read_labels(answer: Mapping[bytes, Item]) -> list[str]:
    """Gmail's own begin with a backslash."""
    labels = answer.get(b"X-GM-LABELS")
    found = labels if isinstance(labels, list) else []
    return [decode_name(each).removeprefix("\\") for each in found if isinstance(each, bytes)]


def write_set(uids: UidSet) -> bytes:
    return b",".join(b"%d" % r.low if r.low == r.high else b"%d:%d" % (r.low, r.high) for r in uids)


def fill_letter(letter: Letter, answer: Mapping[bytes, Item] | str) -> None:
    if isinstance(answer, str):
        letter.problem = answer
        return
    body, flags, date = answer.get(b"BODY[]"), answer.get(b"FLAGS"), answer.get(b"INTERNALDATE")
    if body is TOO_LONG or not isinstance(body, bytes):
        letter.problem = f"message {_read_uid(answer)}: too long, or without content"
        return
    letter.octets = body
    if isinstance(flags, list):
        names = (each.decode("ascii", "replace") for each in flags if isinstance(each, bytes))
        letter.flags = frozenset(name for name in names if name.lower() != "\\recent")
    found = parse_date(date) if isinstance(date, bytes) else None
    if found is not None:
        letter.received, letter.zone_minutes = found.instant, found.zone_minutes
