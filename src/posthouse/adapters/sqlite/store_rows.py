"""Emails as rows and back. No SQLite here: values in, values out.

`texts` holds subject, from, to, cc, bcc, preview and list id, one per line. `facts` is msgpack: what only a look at a
whole message needs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from posthouse.adapters.sqlite.bulk import Value, insertion
from posthouse.message.parsed import ParsedMessage, PartFacts, SortKeys
from posthouse.ports.store import Fields

EMAIL_COLUMNS = 27
PLACEMENT_COLUMNS = 7
INSERT_EMAILS = insertion("email", EMAIL_COLUMNS)
INSERT_PLACEMENTS = insertion("placement", PLACEMENT_COLUMNS)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, int, msgspec.Raw]).decode  # parts are large, and seldom asked for
_decode_parts = msgspec.msgpack.Decoder(list[tuple[str, int, int, int, int, str, str, str, str, str, str]]).decode

_PARSED = Fields.ENVELOPE | Fields.STRUCTURE | Fields.HEAD | Fields.KEYS | Fields.TEXTS
_NO_KEYS = SortKeys(None, "", "", "", "", "", "")


def describe_message(message: ParsedMessage) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """The columns sent ... texts, and envelope ... facts: the same for every account that gets it."""
    keys = message.keys
    texts = (
        message.subject,
        message.from_text,
        message.to_text,
        message.cc_text,
        message.bcc_text,
        message.preview,
        message.list_id,
    )
    joined = "\n".join(texts)
    if joined.count("\n") != 6:
        joined = "\n".join([text.replace("\n", " ") for text in texts])
    return (
        None if keys.sent is None else int(keys.sent * 1e6),
        keys.base_subject,
        keys.sender,
        keys.recipient,
        keys.copied,
        keys.display_from,
        keys.display_to,
        int(message.has_attachment),
        message.message_id,
        "\n".join(message.references),
        joined,
    ), (message.envelope, message.bodystructure, message.head, _encode_facts(message))


def _encode_facts(message: ParsedMessage) -> bytes:
    parts = [
        (
            p.section,
            p.header,
            p.body,
            p.end,
            p.lines,
            p.type,
            p.encoding,
            p.charset,
            p.disposition,
            p.name,
            p.content_id,
        )
        for p in message.parts
    ]
    flags = message.is_reply_or_forward | message.is_truncated << 1 | message.reply_ids << 2
    return _encode((message.header_size, message.lines, flags, parts))


_COLUMNS = {
    Fields.DATES: "thread, received, zone",
    Fields.ENVELOPE: "envelope",
    Fields.STRUCTURE: "bodystructure",
    Fields.HEAD: "prefix, head",
    Fields.KEYS: "sent, base_subject, sender, recipient, copied, display_from, display_to, message_id, refs",
    Fields.TEXTS: "texts, attachment",
}
_ALWAYS = "email, size, length(prefix) AS prefix_size, facts"


def columns_for(fields: Fields) -> tuple[str, list[str]]:
    """The text for SELECT and the names of its columns."""
    chosen = [_ALWAYS if fields & _PARSED else _ALWAYS.replace(", facts", ", NULL AS facts")]
    chosen += [columns for field, columns in _COLUMNS.items() if fields & field]
    text = ", ".join(chosen)
    return text, [name.rpartition(" AS ")[2] for name in text.split(", ")]


def read_message(row: dict[str, Any], fields: Fields) -> ParsedMessage | None:
    """As much of it as was asked for."""
    if not fields & _PARSED:
        return None
    header_size, lines, flags, parts = _decode(row["facts"])
    texts = row["texts"].split("\n") if fields & Fields.TEXTS else [""] * 7
    subject, from_text, to_text, cc_text, bcc_text, preview, list_id = texts
    refs = row.get("refs")
    return ParsedMessage(
        row["size"] - row["prefix_size"],
        header_size,
        lines,
        row.get("envelope", b""),
        row.get("bodystructure", b""),
        tuple([PartFacts(*part) for part in _decode_parts(parts)]) if fields & Fields.STRUCTURE else (),
        row.get("head", b""),
        _read_keys(row) if fields & Fields.KEYS else _NO_KEYS,
        row.get("message_id", ""),
        tuple(refs.split("\n")) if refs else (),
        subject,
        from_text,
        to_text,
        cc_text,
        bcc_text,
        preview,
        has_attachment=bool(row.get("attachment")),
        is_reply_or_forward=bool(flags & 1),
        is_truncated=bool(flags & 2),
        list_id=list_id,
        reply_ids=flags >> 2,
    )


def _read_keys(row: dict[str, Any]) -> SortKeys:
    return SortKeys(
        None if row["sent"] is None else row["sent"] / 1e6,
        row["base_subject"],
        row["sender"],
        row["recipient"],
        row["copied"],
        row["display_from"],
        row["display_to"],
    )
