"""Messages as rows of the store, and as JMAP shows them."""

from __future__ import annotations

import json
from typing import Any

from posthouse.access.jmap.emails import EmailGetArguments, plan_emails
from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    Flag,
    FlagBits,
    KeywordTable,
    MailboxId,
    ModSeq,
    Placement,
    ThreadId,
    Uid,
)
from posthouse.message.parse import parse_message
from posthouse.ports.store import EmailRow
from posthouse.protocol.jmap.arguments import read_arguments
from posthouse.protocol.jmap.json import JsonObject, encode_json

OWNER = AccountId(1)
KEYWORDS = KeywordTable(("$Forwarded", "Work"))


def place(flags: int, mailbox: int = 3) -> dict[MailboxId, Placement]:
    return {MailboxId(mailbox): Placement(Uid(1), EmailId(7), FlagBits(flags), ModSeq(5), 0.0)}


def make_row(octets: bytes, prefix: bytes = b"", flags: int = Flag.SEEN) -> EmailRow:
    message = parse_message(octets)
    return EmailRow(
        EmailId(7),
        ThreadId(9),
        len(prefix) + len(octets),
        len(prefix),
        1414649520.0,
        0,
        message,
        prefix + message.head,
        None,
        place(flags),
    )


def show(octets: bytes, *properties: str, prefix: bytes = b"", **wishes: Any) -> JsonObject:
    """The Email object, as it is read by a client."""
    asked: JsonObject = {"accountId": "A1", "properties": list(properties) or None, **wishes}
    plan = plan_emails(read_arguments(EmailGetArguments, asked), OWNER)
    row = make_row(octets, prefix)
    whole = prefix + octets if plan.needs_octets(row) else None
    told: JsonObject = json.loads(encode_json(plan.make(row, whole, KEYWORDS)))
    return told


def show_one(octets: bytes, name: str) -> object:
    return show(octets, name)[name]
