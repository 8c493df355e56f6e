"""Email objects (RFC 8621 §4.1): what of them is asked for, and made of the rows of the store. Pure.

    plan = plan_emails(arguments, owner)      once for a call; refuses what there is not
    rows = ... load_emails(..., plan.fields)
    plan.make(row, octets, keywords)        for each; octets only where plan.needs_octets(row)

What a list of messages shows is made of the row alone: no message is read for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.body_parts import (
    BODY_PROPERTIES,
    DEFAULT_BODY_PROPERTIES,
    BodyLists,
    Part,
    PartWriter,
    build_tree,
    list_body,
)
from posthouse.access.jmap.body_values import read_body_value
from posthouse.access.jmap.header_forms import (
    CONVENIENT,
    BadProperty,
    HeaderFields,
    HeaderProperty,
    list_fields,
    parse_header_property,
)
from posthouse.access.jmap.keywords import write_keywords
from posthouse.message.envelope_wire import HEAD_FIELDS
from posthouse.message.header import find_header_end
from posthouse.message.mailbox import AccountId, EmailId, KeywordTable
from posthouse.message.objectids import name_email, name_mailbox, name_thread
from posthouse.message.parsed import ParsedMessage, PartFacts
from posthouse.ms.keywords import is_visible
from posthouse.ports.store import EmailRow, Fields
from posthouse.protocol.jmap.arguments import Arguments, GetArguments, UnsignedInt
from posthouse.protocol.jmap.dates import write_utc_date
from posthouse.protocol.jmap.errors import invalid_arguments
from posthouse.protocol.jmap.ids import Id
from posthouse.protocol.jmap.json import JsonObject

_OF_MESSAGE = frozenset({"hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"})
DEFAULT_PROPERTIES = (
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
)
# RFC 8621 §4.9
DEFAULT_PARSED = tuple([name for name in DEFAULT_PROPERTIES if name in CONVENIENT or name in _OF_MESSAGE])
PROPERTIES = frozenset({*DEFAULT_PROPERTIES, "headers", "bodyStructure"})
_BODY = frozenset({"bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"})
_STORED = frozenset({"id", "threadId", "mailboxIds", "keywords", "receivedAt"})
_TEXTS = frozenset({"preview", "hasAttachment"})
_HEAD_NAMES = frozenset(name.decode("ascii") for name in HEAD_FIELDS)


class EmailGetArguments(GetArguments):
    """RFC 8621 §4.2."""

    body_properties: list[str] | None = None
    fetch_text_body_values: bool = False
    fetch_html_body_values: bool = msgspec.field(default=False, name="fetchHTMLBodyValues")
    fetch_all_body_values: bool = False
    max_body_value_bytes: UnsignedInt = 0


class EmailParseArguments(Arguments, kw_only=True):
    """RFC 8621 §4.9."""

    account_id: str
    blob_ids: list[str]
    properties: list[str] | None = None
    body_properties: list[str] | None = None
    fetch_text_body_values: bool = False
    fetch_html_body_values: bool = msgspec.field(default=False, name="fetchHTMLBodyValues")
    fetch_all_body_values: bool = False
    max_body_value_bytes: UnsignedInt = 0


class EmailImport(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One of an Email/import; the members that `read_placing` reads are left as they are."""

    blob_id: str
    mailbox_ids: object
    keywords: object = None
    received_at: object = None


class EmailImportArguments(Arguments, kw_only=True):
    """RFC 8621 §4.8."""

    account_id: str
    if_in_state: str | None = None
    emails: dict[Id, EmailImport]


def plan_emails(arguments: EmailGetArguments | EmailParseArguments, owner: AccountId) -> EmailPlan:
    """`owner`: the account that the emails are of. Raises MethodError (invalidArguments) for what there is not."""
    names = list(_default_of(arguments) if arguments.properties is None else arguments.properties)
    if isinstance(arguments, EmailGetArguments):
        names.insert(0, "id")
    body_names = DEFAULT_BODY_PROPERTIES if arguments.body_properties is None else arguments.body_properties
    headers = {name: CONVENIENT[name] for name in names if name in CONVENIENT}
    headers |= _read_headers(names, PROPERTIES)
    return EmailPlan(
        tuple(dict.fromkeys(names)),
        headers,
        tuple(dict.fromkeys(body_names)),
        _read_headers(body_names, BODY_PROPERTIES),
        arguments,
        _is_whole(names, headers.values()),
        owner,
    )


def _default_of(arguments: EmailGetArguments | EmailParseArguments) -> Sequence[str]:
    return DEFAULT_PROPERTIES if isinstance(arguments, EmailGetArguments) else DEFAULT_PARSED


def _is_whole(names: Iterable[str], headers: Iterable[HeaderProperty]) -> bool:
    """Whether what the store keeps ready is not enough for these."""
    if "headers" in names or not _BODY.isdisjoint(names):
        return True
    return any(header.name.lower() not in _HEAD_NAMES for header in headers)


def _read_headers(names: Iterable[str], known: frozenset[str]) -> dict[str, HeaderProperty]:
    try:
        return {name: parse_header_property(name) for name in names if name not in known}
    except BadProperty as problem:
        raise invalid_arguments(str(problem)) from None


@dataclass(frozen=True, slots=True)
class EmailPlan:
    """`headers`: of the properties, those that are header fields; `body_headers`: of those of parts."""

    properties: tuple[str, ...]
    headers: Mapping[str, HeaderProperty]
    body_properties: tuple[str, ...]
    body_headers: Mapping[str, HeaderProperty]
    wish: EmailGetArguments | EmailParseArguments
    is_whole: bool  # messages are read for it
    owner: AccountId

    @property
    def fields(self) -> Fields:
        """What the store is to load."""
        fields = Fields.DATES
        if self.headers:
            fields |= Fields.HEAD
        if self.is_whole:
            fields |= Fields.STRUCTURE
        if _TEXTS.intersection(self.properties):
            fields |= Fields.TEXTS
        return fields

    @property
    def needs_body(self) -> bool:
        """Whether of the messages that are read more is needed than the header."""
        return not _BODY.isdisjoint(self.properties)

    def needs_octets(self, row: EmailRow) -> bool:
        """Whether the message itself must be read for this row."""
        if self.is_whole:
            return True
        has_head = row.message is not None and bool(row.message.head)
        return bool(self.headers) and not has_head

    def make(self, row: EmailRow, octets: bytes | None, keywords: KeywordTable) -> JsonObject:
        """The object. `octets`: of prefix and body together, where they are needed."""
        told: JsonObject = {}
        head = self._read_head(row, octets) if self.headers else None
        for name in self.properties:
            if name in self.headers:
                told[name] = head.read(self.headers[name]) if head is not None else None
            elif name not in _BODY:
                told[name] = _WRITERS[name](self, row, octets, keywords)
        if octets is not None and row.message is not None:
            told |= self._write_body(row.message.parts, octets, row.prefix_size, BlobId(row.email))
        return told

    def make_parsed(self, message: ParsedMessage, octets: bytes, blob: BlobId) -> JsonObject:
        """Of a blob that is a message (RFC 8621 §4.9): what only stored emails have is null."""
        row = EmailRow(EmailId(0), size=len(octets), message=message)
        told = self.make(row, octets, KeywordTable(()))
        told |= {name: None for name in _STORED if name in told}
        if "blobId" in told:
            told["blobId"] = str(blob)
        return told | self._write_body(message.parts, octets, 0, blob)

    def _read_head(self, row: EmailRow, octets: bytes | None) -> HeaderFields:
        if octets is None:
            return HeaderFields(row.head, 0, len(row.head))
        return HeaderFields(octets, 0, _header_end(row, octets))

    def _write_body(self, parts: Sequence[PartFacts], octets: bytes, prefix_size: int, blob: BlobId) -> JsonObject:
        wanted = _BODY.intersection(self.properties)
        if not wanted:
            return {}
        root = build_tree(parts)
        lists = list_body(root)
        writer = PartWriter(octets, prefix_size, blob, self.body_properties, self.body_headers)
        told: JsonObject = {}
        for name, listed in (("textBody", lists.text), ("htmlBody", lists.html), ("attachments", lists.attachments)):
            if name in wanted:
                told[name] = [writer.write(part) for part in listed]
        if "bodyStructure" in wanted:
            told["bodyStructure"] = writer.write_tree(root)
        if "bodyValues" in wanted:
            body = octets[prefix_size:] if prefix_size else octets
            told["bodyValues"] = {
                part_id: read_body_value(body, facts, self.wish.max_body_value_bytes)
                for part_id, facts in self._pick_texts(root, lists).items()
            }
        return told

    def _pick_texts(self, root: Part, lists: BodyLists) -> dict[str | None, PartFacts]:
        """The text parts whose values are wanted, each once."""
        wish = self.wish
        picked: list[Part] = []
        if wish.fetch_all_body_values:
            picked += root.walk()
        if wish.fetch_text_body_values:
            picked += lists.text
        if wish.fetch_html_body_values:
            picked += lists.html
        return {part.part_id: part.facts for part in picked if part.facts.type.startswith("text/")}


def _write_mailboxes(plan: EmailPlan, row: EmailRow, octets: bytes | None, keywords: KeywordTable) -> object:
    owner = plan.owner
    return {name_mailbox(owner, box): True for box, placed in row.placements.items() if is_visible(placed.flags)}


def _write_preview(plan: EmailPlan, row: EmailRow, octets: bytes | None, keywords: KeywordTable) -> object:
    return row.message.preview if row.message is not None else ""


def _write_has_attachment(plan: EmailPlan, row: EmailRow, octets: bytes | None, keywords: KeywordTable) -> object:
    return row.message is not None and row.message.has_attachment


def _write_headers(plan: EmailPlan, row: EmailRow, octets: bytes | None, keywords: KeywordTable) -> object:
    return list_fields(octets or b"", 0, _header_end(row, octets or b""))


_WRITERS: Mapping[str, Callable[[EmailPlan, EmailRow, bytes | None, KeywordTable], object]] = {
    "id": lambda plan, row, octets, keywords: name_email(plan.owner, row.email),
    "blobId": lambda plan, row, octets, keywords: str(BlobId(row.email)),
    "threadId": lambda plan, row, octets, keywords: name_thread(plan.owner, row.thread),
    "mailboxIds": _write_mailboxes,
    "keywords": lambda plan, row, octets, keywords: write_keywords(row.placements.values(), keywords),
    "size": lambda plan, row, octets, keywords: row.size,
    "receivedAt": lambda plan, row, octets, keywords: write_utc_date(row.received),
    "headers": _write_headers,
    "preview": _write_preview,
    "hasAttachment": _write_has_attachment,
}


def _header_end(row: EmailRow, octets: bytes) -> int:
    """Where the header section of prefix and body together ends; looked for where the store was not asked for it."""
    if row.message is not None and row.message.header_size:
        return row.prefix_size + row.message.header_size
    end = find_header_end(octets)
    return end if end >= 0 else len(octets)
