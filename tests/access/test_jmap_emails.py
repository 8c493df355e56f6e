"""Email objects of messages: header forms, body parts, body values (RFC 8621 §4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.access.jmap.blob_ids import BlobId, read_blob_id
from posthouse.access.jmap.body_parts import build_tree, list_body
from posthouse.access.jmap.body_values import cut_text
from posthouse.access.jmap.emails import EmailGetArguments, EmailImportArguments, EmailParseArguments, plan_emails
from posthouse.access.jmap.header_forms import BadProperty, Form, HeaderProperty, parse_header_property
from posthouse.access.jmap.keywords import is_keyword, read_keywords, write_keywords
from posthouse.message.mailbox import EmailId, Flag
from posthouse.message.parse import parse_message
from posthouse.ports.store import Fields
from posthouse.protocol.jmap.arguments import read_arguments
from posthouse.protocol.jmap.errors import MethodError, RecordRefused
from tests.access.jmap_email_kit import KEYWORDS, OWNER, make_row, place, show, show_one


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\ntext\r\n"


# -- forms of header fields


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("X-A:  one", "header:X-A", "  one"),
        ("X-A: =?utf-8?q?caf=C3=A9?=", "header:x-a:asText", "café"),
        ("X-A: a\0b", "header:X-A", " ab"),
        ("X-A: =?utf-8?q?caf=C3=A9?=", "header:X-A:asRaw", " =?utf-8?q?caf=C3=A9?="),
        ("X-A: a\r\n b", "header:X-A:asRaw", " a\r\n b"),
        ("X-A: a\r\n b", "header:X-A:asText", "a b"),
        ("Subject: e\u0301", "header:Subject:asText", "é"),
        ("Message-ID: <a@b> (x)", "header:Message-ID:asMessageIds", ["a@b"]),
        ("References: <a@b>\r\n <c@d>", "header:References:asMessageIds", ["a@b", "c@d"]),
        ("References: none", "header:References:asMessageIds", None),
        ("Date: Thu, 30 Oct 2014 14:12:00 +0800", "header:Date:asDate", "2014-10-30T14:12:00+08:00"),
        ("Date: yesterday", "header:Date:asDate", None),
        (
            "List-Post: <mailto:a@b> (Postings), <http:// x/>",
            "header:List-Post:asURLs",
            ["mailto:a@b", "http://x/"],
        ),
        ("List-Post: NO", "header:List-Post:asURLs", None),
        ("X-B: 1", "header:X-A", None),
        ("X-B: 1", "header:X-A:all", []),
        ("X-A: 1\r\nX-B: 3\r\nx-a: 2", "header:X-A", " 2"),
        ("X-A: 1\r\nX-B: 3\r\nx-a: 2", "header:X-A:asText:all", ["1", "2"]),
        ("To: a@b, (c) d@e", "header:To:asAddresses", [{"name": None, "email": "a@b"}, {"name": "c", "email": "d@e"}]),
        ('To: "j doe"@b', "header:To:asAddresses", [{"name": None, "email": '"j doe"@b'}]),
    ],
)
def test_forms(line: str, name: str, value: object) -> None:
    assert show_one(head(line), name) == value


ADDRESSES = (
    'To: "  James Smythe" <james@example.com>, Friends:\r\n  jane@example.com,'
    " =?UTF-8?Q?John_Sm=C3=AEth?=\r\n  <john@example.com>;"
)


def test_the_addresses_of_the_rfc() -> None:
    """RFC 8621 §4.1.2.3."""
    assert show_one(head(ADDRESSES), "header:To:asAddresses") == [
        {"name": "James Smythe", "email": "james@example.com"},
        {"name": None, "email": "jane@example.com"},
        {"name": "John Smîth", "email": "john@example.com"},
    ]


def test_the_groups_of_the_rfc() -> None:
    """RFC 8621 §4.1.2.4."""
    assert show_one(head(ADDRESSES), "header:To:asGroupedAddresses") == [
        {"name": None, "addresses": [{"name": "James Smythe", "email": "james@example.com"}]},
        {
            "name": "Friends",
            "addresses": [
                {"name": None, "email": "jane@example.com"},
                {"name": "John Smîth", "email": "john@example.com"},
            ],
        },
    ]


def test_addresses_outside_of_groups_stay_together() -> None:
    groups = show_one(head("To: a@b, c@d, E: f@g;, h@i, j@k, Empty:;"), "header:To:asGroupedAddresses")
    assert isinstance(groups, list)
    assert [(group["name"], len(group["addresses"])) for group in groups] == [
        (None, 2),
        ("E", 1),
        (None, 2),
        ("Empty", 0),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "header",
        "header:",
        "header:a b",
        "header:é",
        "header:Subject:asAddresses",
        "header:From:asText",
        "header:From:asMessageIds",
        "header:Message-ID:asText",
        "header:Date:asText",
        "header:List-Post:asText",
        "header:Received:asText",
        "header:Return-Path:asAddresses",
        "header:X-A:asDATE",
        "header:X-A:all:asText",
        "header:X-A:asText:all:all",
        "header:X-A:asText:asText",
        "headers:X-A",
        "subject:asText",
    ],
)
def test_properties_that_there_are_not(name: str) -> None:
    with pytest.raises(BadProperty):
        parse_header_property(name)
    with pytest.raises(MethodError) as caught:
        plan_emails(read_arguments(EmailGetArguments, {"accountId": "A1", "properties": [name]}), OWNER)
    assert caught.value.kind == "invalidArguments"


def test_an_unknown_property_of_parts_is_refused() -> None:
    with pytest.raises(MethodError):
        plan_emails(read_arguments(EmailGetArguments, {"accountId": "A1", "bodyProperties": ["subject"]}), OWNER)


def test_a_field_nobody_defined_has_all_forms() -> None:
    for form in Form:
        assert parse_header_property(f"header:X:{form}:all") == HeaderProperty("X", form, is_all=True)


# -- an email

LETTER = (
    b"Date: Thu, 30 Oct 2014 14:12:00 +0800\r\nFrom: Joe <joe@example.com>\r\nSubject: World domination\r\n"
    b"Message-ID: <1@x>\r\nX-Mood: good\r\n\r\nI have the most brilliant plan.\r\n"
)


def test_the_properties_of_a_letter() -> None:
    told = show(LETTER, fetchTextBodyValues=True)
    assert told == {
        "id": "M1-7",
        "blobId": "B7",
        "threadId": "T1-9",
        "mailboxIds": {"F1-3": True},
        "keywords": {"$seen": True},
        "size": len(LETTER),
        "receivedAt": "2014-10-30T06:12:00Z",
        "messageId": ["1@x"],
        "inReplyTo": None,
        "references": None,
        "sender": None,
        "from": [{"name": "Joe", "email": "joe@example.com"}],
        "to": None,
        "cc": None,
        "bcc": None,
        "replyTo": None,
        "subject": "World domination",
        "sentAt": "2014-10-30T14:12:00+08:00",
        "hasAttachment": False,
        "preview": "I have the most brilliant plan.",
        "bodyValues": {
            "1": {"value": "I have the most brilliant plan.\n", "isEncodingProblem": False, "isTruncated": False}
        },
        "textBody": [PART],
        "htmlBody": [PART],
        "attachments": [],
    }


PART = {
    "partId": "1",
    "blobId": "B7-1",
    "size": 33,
    "name": None,
    "type": "text/plain",
    "charset": "us-ascii",
    "disposition": None,
    "cid": None,
    "language": None,
    "location": None,
}


def test_a_list_of_messages_needs_no_message() -> None:
    names = ["threadId", "mailboxIds", "keywords", "from", "to", "subject", "receivedAt", "preview", "hasAttachment"]
    plan = plan_emails(read_arguments(EmailGetArguments, {"accountId": "A1", "properties": names}), OWNER)
    assert not plan.needs_octets(make_row(LETTER))
    assert plan.fields == Fields.DATES | Fields.HEAD | Fields.TEXTS


@pytest.mark.parametrize("name", ["headers", "header:X-Mood", "bodyStructure", "textBody"])
def test_what_needs_the_message(name: str) -> None:
    plan = plan_emails(read_arguments(EmailGetArguments, {"accountId": "A1", "properties": [name]}), OWNER)
    assert plan.needs_octets(make_row(LETTER))


def test_what_delivery_put_in_front_belongs_to_the_header() -> None:
    prefix = b"Return-Path: <joe@example.com>\r\nDelivered-To: ann@example.org\r\n"
    told = show(
        LETTER, "headers", "header:Return-Path", "textBody", "bodyValues", prefix=prefix, fetchAllBodyValues=True
    )
    assert told["header:Return-Path"] == " <joe@example.com>"
    headers, values = told["headers"], told["bodyValues"]
    assert isinstance(headers, list) and isinstance(values, dict)
    assert [field["name"] for field in headers][:3] == ["Return-Path", "Delivered-To", "Date"]
    assert headers[-1] == {"name": "X-Mood", "value": " good"}
    assert values["1"]["value"] == "I have the most brilliant plan.\n"


def test_a_blob_that_is_a_message_has_no_place() -> None:
    asked = read_arguments(
        EmailParseArguments,
        {"accountId": "A1", "blobIds": [], "properties": ["id", "blobId", "threadId", "textBody", "subject"]},
    )
    told = plan_emails(asked, OWNER).make_parsed(parse_message(LETTER), LETTER, BlobId(upload="x").below("2"))
    assert (told["id"], told["threadId"], told["blobId"], told["subject"]) == (None, None, "Ux-2", "World domination")
    body = told["textBody"]
    assert isinstance(body, list) and body[0]["blobId"] == "Ux-2-1"


def test_a_head_that_is_not_kept_is_read_from_the_message() -> None:
    octets = b"Subject: " + b"x" * 20_000 + b"\r\nFrom: a@b\r\n\r\nSubject: not this\r\n"
    plan = plan_emails(read_arguments(EmailGetArguments, {"accountId": "A1", "properties": ["from", "subject"]}), OWNER)
    row = make_row(octets)
    assert row.message is not None and not row.message.head and plan.needs_octets(row)
    row.message = replace(row.message, header_size=0)  # as the store gives it, which was not asked for the structure
    told = plan.make(row, octets, KEYWORDS)
    assert told["subject"] == "x" * 20_000 and told["from"] == [{"name": None, "email": "a@b"}]


def test_what_is_told_of_a_parsed_blob_unasked() -> None:
    """RFC 8621 §4.9."""
    plan = plan_emails(read_arguments(EmailParseArguments, {"accountId": "A1", "blobIds": ["U1"]}), OWNER)
    assert set(plan.make_parsed(parse_message(LETTER), LETTER, BlobId(upload="1"))) == {
        *("messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt"),
        *("hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"),
    }


def test_what_an_import_brings() -> None:
    emails = {"a": {"blobId": "U1", "mailboxIds": {"F1-1": True}}}
    asked = read_arguments(EmailImportArguments, {"accountId": "A1", "emails": emails})
    assert asked.emails["a"].mailbox_ids == {"F1-1": True}
    with pytest.raises(MethodError):
        read_arguments(EmailImportArguments, {"accountId": "A1", "emails": {"a": {"mailboxIds": {}}}})


# -- keywords and blobs


def test_keywords_are_flags() -> None:
    placements = place(Flag.SEEN | Flag.FLAGGED | 32 | 64).values()
    assert write_keywords(placements, KEYWORDS) == {"$seen": True, "$flagged": True, "$forwarded": True, "work": True}
    assert read_keywords({"$Seen": True, "Work": True}) == {"\\Seen", "work"}
    assert read_keywords(None) == frozenset()


def test_an_email_is_seen_when_all_its_copies_are() -> None:
    both = [*place(Flag.SEEN | Flag.FLAGGED).values(), *place(0, 4).values()]
    assert write_keywords(both, KEYWORDS) == {"$flagged": True}


@pytest.mark.parametrize("value", [[], {"a": False}, {"a": 1}, {"a b": True}, {"": True}, {"a]": True}, {"é": True}])
def test_keywords_that_cannot_be(value: object) -> None:
    with pytest.raises(RecordRefused) as caught:
        read_keywords(value)
    assert caught.value.error.type == "invalidProperties"


def test_characters_of_keywords() -> None:
    good = set(map(chr, range(0x21, 0x7F))) - set('(){]%*"\\')
    assert {letter for letter in map(chr, range(256)) if is_keyword(letter)} == good
    assert is_keyword("x" * 255) and not is_keyword("x" * 256)


@pytest.mark.parametrize(
    "blob",
    [BlobId(EmailId(17)), BlobId(EmailId(17), "", ("1.2", "1")), BlobId(upload="aZ9"), BlobId(upload="a").below("2")],
)
def test_blob_ids_are_read_as_they_were_written(blob: BlobId) -> None:
    assert read_blob_id(str(blob)) == blob


@pytest.mark.parametrize("text", ["", "B", "B0", "M1-7", "B7-", "B7-1.2", "B7-_1", "U", "Ua b", "B7\n", "B7-1" * 90])
def test_blob_ids_that_cannot_be(text: str) -> None:
    assert read_blob_id(text) is None


# -- parts


def build(tree: object, number: list[int] | None = None) -> bytes:
    """A part of ("type", extra header, [children]) or text."""
    number = [0] if number is None else number
    assert isinstance(tree, tuple)
    kind, extra, children = tree
    if not children:
        return f"Content-Type: {kind}\r\n{extra}\r\nbody\r\n".encode()
    number[0] += 1
    mark = f"b{number[0]}"
    inner = b"".join(b"--%b\r\n%b\r\n" % (mark.encode(), build(child, number)) for child in children)
    return b'Content-Type: %b; boundary="%b"\r\n\r\n%b--%b--\r\n' % (kind.encode(), mark.encode(), inner, mark.encode())


def leaf(kind: str, extra: str = "") -> tuple[str, str, list[object]]:
    return (kind, extra, [])


def many(kind: str, *children: object) -> tuple[str, str, list[object]]:
    return (f"multipart/{kind}", "", list(children))


ATTACHED = "Content-Disposition: attachment\r\n"
PLAIN, HTML, JPEG = leaf("text/plain"), leaf("text/html"), leaf("image/jpeg")
# RFC 8621 §4.1.4: the letters are 1 A, 2.1.1.1 B, 2.1.1.2.1 C, D, E, F, G, 2.2 H, 2.3 J, 2.4 K in the RFC's example.
EXAMPLE = many(
    "mixed",
    leaf("text/plain", "Content-Disposition: inline\r\n"),
    many(
        "mixed",
        many(
            "alternative",
            many(
                "mixed",
                leaf("text/plain", "Content-Disposition: inline\r\n"),
                leaf("image/jpeg", "Content-Disposition: inline\r\n"),
                leaf("text/plain", "Content-Disposition: inline\r\n"),
            ),
            many("related", leaf("text/html"), leaf("image/jpeg")),
        ),
        leaf("image/jpeg", ATTACHED),
        leaf("application/x-excel"),
        leaf("message/rfc822"),
    ),
    leaf("text/plain", "Content-Disposition: inline\r\n"),
)


@pytest.mark.parametrize(
    ("tree", "text", "html", "attachments"),
    [
        (PLAIN, ["1"], ["1"], []),
        (HTML, ["1"], ["1"], []),
        (leaf("text/plain", ATTACHED), [], [], ["1"]),
        (JPEG, ["1"], ["1"], []),
        (leaf("application/pdf"), [], [], ["1"]),
        (many("alternative", PLAIN, HTML), ["1"], ["2"], []),
        (many("alternative", HTML), ["1"], ["1"], []),
        (many("alternative", PLAIN), ["1"], ["1"], []),
        (many("alternative", PLAIN, HTML, leaf("text/calendar")), ["1"], ["2"], ["3"]),
        (many("alternative", PLAIN, many("related", HTML, JPEG)), ["1"], ["2.1"], ["2.2"]),
        (many("related", HTML, JPEG), ["1"], ["1"], ["2"]),
        (many("mixed", PLAIN, JPEG, PLAIN), ["1", "2", "3"], ["1", "2", "3"], []),
        (many("mixed", PLAIN, leaf('text/plain; name="a.txt"')), ["1"], ["1"], ["2"]),
        (many("mixed", leaf('text/plain; name="a.txt"')), ["1"], ["1"], []),
        (many("mixed", many("alternative", PLAIN, HTML), leaf("application/pdf")), ["1.1"], ["1.2"], ["2"]),
        (many("mixed", PLAIN, leaf("message/rfc822")), ["1"], ["1"], ["2"]),
        (
            EXAMPLE,
            ["1", "2.1.1.1", "2.1.1.2", "2.1.1.3", "3"],
            ["1", "2.1.2.1", "3"],
            ["2.1.1.2", "2.1.2.2", "2.2", "2.3", "2.4"],
        ),
    ],
)
def test_what_is_body_and_what_is_attached(
    tree: object, text: list[str], html: list[str], attachments: list[str]
) -> None:
    lists = list_body(build_tree(parse_message(build(tree)).parts))
    assert [part.part_id for part in lists.text] == text
    assert [part.part_id for part in lists.html] == html
    assert [part.part_id for part in lists.attachments] == attachments


def test_a_structure_does_not_go_into_messages() -> None:
    octets = build(many("mixed", PLAIN, leaf("message/rfc822")))
    told = show_one(octets, "bodyStructure")
    assert isinstance(told, dict)
    assert (told["partId"], told["blobId"], told["type"]) == (None, None, "multipart/mixed")
    assert [part["blobId"] for part in told["subParts"]] == ["B7-1", "B7-2"]
    assert "subParts" not in told["subParts"][1]


def test_what_is_told_of_a_part() -> None:
    part = (
        b"Content-Type: image/png; name*=utf-8''caf%C3%A9.png\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: Inline\r\nContent-ID: <foo@x>\r\nContent-Language: de, en-GB\r\n"
        b"Content-Location: http://x/\r\n a\r\nX-A: b\r\n\r\naGVsbG8=\r\n"
    )
    asked = [
        "size",
        "name",
        "type",
        "charset",
        "disposition",
        "cid",
        "language",
        "location",
        "header:X-A:asText",
        "subParts",
    ]
    told = show(part, "bodyStructure", bodyProperties=asked)["bodyStructure"]
    assert told == {
        "size": 5,
        "name": "café.png",
        "type": "image/png",
        "charset": None,
        "disposition": "inline",
        "cid": "foo@x",
        "language": ["de", "en-GB"],
        "location": "http://x/a",
        "header:X-A:asText": "b",
        "subParts": None,
    }


# -- values


@pytest.mark.parametrize(
    ("header", "body", "value", "is_problem"),
    [
        ("charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", b"caf=C3=A9\r\n", "café\n", False),
        ("charset=iso-8859-1", b"caf\xe9", "café", False),
        ("charset=utf-8", b"caf\xe9", "caf\ufffd", True),
        ("charset=utf-8", b"caf\xef\xbf\xbd", "caf\ufffd", False),
        ("charset=martian", b"cafe", "cafe", True),
        ("x=y", b"caf\xc3\xa9", "café", True),
        ("charset=utf-8\r\nContent-Transfer-Encoding: rot13", b"cafe", "cafe", True),
    ],
)
def test_values_of_parts(header: str, body: bytes, value: str, is_problem: bool) -> None:
    octets = f"Content-Type: text/plain; {header}\r\n\r\n".encode() + body
    told = show(octets, "bodyValues", fetchAllBodyValues=True)["bodyValues"]
    assert told == {"1": {"value": value, "isEncodingProblem": is_problem, "isTruncated": False}}


def test_which_values_are_fetched() -> None:
    octets = build(many("alternative", PLAIN, many("related", HTML, leaf("text/css"))))

    def fetch(**wishes: Any) -> list[str]:
        told = show(octets, "bodyValues", **wishes)["bodyValues"]
        assert isinstance(told, dict)
        return list(told)

    assert fetch() == []
    assert fetch(fetchTextBodyValues=True) == ["1"]
    assert fetch(fetchHTMLBodyValues=True) == ["2.1"]
    assert fetch(fetchAllBodyValues=True) == ["1", "2.1", "2.2"]


@pytest.mark.parametrize(
    ("text", "octets", "is_page", "cut"),
    [
        ("abc", 3, False, "abc"),
        ("abcd", 3, False, "abc"),
        ("éé", 3, False, "é"),
        ("ab<b>c", 4, True, "ab"),
        ("ab<b>c", 5, True, "ab<b>"),
        ("a&amp;b", 4, True, "a"),
        ("a&amp;b", 6, True, "a&amp;"),
        ("ab<b>c", 4, False, "ab<b"),
    ],
)
def test_values_are_cut_between_characters(text: str, octets: int, is_page: bool, cut: str) -> None:
    assert cut_text(text, octets, is_page=is_page) == cut


def test_a_value_that_was_cut_says_so() -> None:
    told = show(LETTER, "bodyValues", fetchAllBodyValues=True, maxBodyValueBytes=6)["bodyValues"]
    assert told == {"1": {"value": "I have", "isEncodingProblem": False, "isTruncated": True}}


@given(st.text(max_size=40), st.integers(1, 60), st.booleans())
def test_a_cut_is_a_beginning(text: str, octets: int, is_page: bool) -> None:
    cut = cut_text(text, octets, is_page=is_page)
    assert text.startswith(cut) and len(cut.encode()) <= max(octets, 0)


@given(st.binary(max_size=300))
def test_any_octets_have_all_properties(octets: bytes) -> None:
    names = [
        "headers",
        "bodyStructure",
        "from",
        "header:To:asGroupedAddresses:all",
        "header:List-Post:asURLs",
        "sentAt",
    ]
    assert set(names) < set(show(octets, *names, "bodyValues", "attachments", fetchAllBodyValues=True))
