"""Messages composed of Email/set creates, read back by our own parser and by the standard library (RFC 8621 §4.6)."""

from __future__ import annotations

import email
import email.policy
import unicodedata
from collections.abc import Mapping
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.access.jmap.composing import Stamp, compose_email, list_blobs
from posthouse.message.header import MAX_LINE_OCTETS
from posthouse.protocol.jmap.errors import RecordRefused, SetError
from posthouse.protocol.jmap.json import JsonObject
from tests.access.jmap_email_kit import show, show_one

STAMP = Stamp(1414649520.0, "new@x.example", "t0k3n")
PNG = b"\x89PNG\r\n\x1a\n\x00"
BLOBS = {"Upng": PNG, "Utext": b"one\r\ntwo\r\n", "Uletter": b"Subject: caf\xc3\xa9\n\nhello\n", "Upart": b"x" * 2000}
TEXT: JsonObject = {"bodyValues": {"t": {"value": "Hi,\nthere"}}, "textBody": [{"partId": "t", "type": "text/plain"}]}


def compose(record: Mapping[str, object]) -> bytes:
    octets = compose_email(record, BLOBS, STAMP)
    assert b"\n" not in octets.replace(b"\r\n", b"") and b"\r" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= MAX_LINE_OCTETS
    return octets


def refuse(record: Mapping[str, object]) -> SetError:
    with pytest.raises(RecordRefused) as caught:
        compose_email(record, BLOBS, STAMP)
    return caught.value.error


def read(octets: bytes) -> EmailMessage:
    return email.message_from_bytes(octets, _class=EmailMessage, policy=email.policy.default)


# -- header


def test_a_draft_of_the_rfc() -> None:
    """RFC 8621 §4.6: the example, near enough."""
    octets = compose(
        {
            "mailboxIds": {"F1": True},
            "keywords": {"$seen": True, "$draft": True},
            "from": [{"name": "Joe Bloggs", "email": "joe@example.com"}],
            "subject": "World domination",
            "receivedAt": "2018-07-10T01:03:11Z",
            "sentAt": "2018-07-10T11:03:11+10:00",
            "bodyStructure": {
                "type": "multipart/alternative",
                "subParts": [
                    {"partId": "bd48", "type": "text/plain"},
                    {"partId": "bd49", "type": "text/html"},
                ],
            },
            "bodyValues": {
                "bd48": {"value": "I have the most brilliant plan.", "isTruncated": False},
                "bd49": {"value": "<!DOCTYPE html><p>I have the most brilliant plan.</p>"},
            },
        }
    )
    told = show(
        octets, "from", "subject", "sentAt", "messageId", "textBody", "htmlBody", "bodyValues", fetchAllBodyValues=True
    )
    assert told["from"] == [{"name": "Joe Bloggs", "email": "joe@example.com"}]
    assert told["sentAt"] == "2018-07-10T11:03:11+10:00"
    assert told["messageId"] == ["new@x.example"]
    values = told["bodyValues"]
    assert isinstance(values, dict)
    assert values["1"]["value"] == "I have the most brilliant plan."
    assert values["2"]["value"].startswith("<!DOCTYPE html>")
    assert b"MIME-Version: 1.0\r\n" in octets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "Grüße aus Köln, lang genug für mehr als ein kodiertes Wort, und noch etwas länger als das"),
        ("subject", "=?utf-8?q?no?= encoded word"),
        ("subject", "x" * 2000),
        ("from", [{"name": "Doe, Jane", "email": "jane@example.com"}, {"name": None, "email": "x@y.example"}]),
        ("to", [{"name": 'The "Boss" \\', "email": '"a b"@example.com'}]),
        ("cc", [{"name": "Jürgen", "email": "jürgen@bücher.example"}]),
        ("bcc", [{"name": "=?utf-8?q?x?=", "email": "a@[127.0.0.1]"}]),
        ("replyTo", [{"name": None, "email": "unfinished"}]),
        ("references", [f"{number}@example.com" for number in range(50)]),
        ("inReplyTo", ["a@b"]),
        ("messageId", ["mine@x"]),
        ("sentAt", "2018-07-10T11:03:11Z"),
        ("header:X-A:asText", "é"),
        ("header:X-A:asText:all", ["é", "b"]),
        ("header:X-A:asURLs", ["http://a/?x=y,z", "mailto:b"]),
        ("header:X-A:asDate", "2018-07-10T11:03:11-05:30"),
        (
            "header:To:asGroupedAddresses",
            [
                {"name": None, "addresses": [{"name": None, "email": "a@b"}]},
                {"name": "Fr. ü", "addresses": [{"name": "C", "email": "c@d"}]},
                {"name": "empty", "addresses": []},
            ],
        ),
    ],
)
def test_header_values_come_back(name: str, value: object) -> None:
    assert show_one(compose({name: value, **TEXT}), name) == value


def test_what_is_not_given_is_made() -> None:
    told = show(compose(TEXT), "messageId", "sentAt", "from", "subject")
    assert (told["messageId"], told["sentAt"], told["from"]) == (["new@x.example"], "2014-10-30T06:12:00Z", None)


@pytest.mark.parametrize("letter", ["\r", "\n", "\0", "\r\nBcc: eve@example.com\r\n"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("subject", lambda bad: f"a{bad}b"),
        ("from", lambda bad: [{"name": f"a{bad}b", "email": "a@b"}]),
        ("from", lambda bad: [{"name": None, "email": f"a{bad}@b"}]),
        ("messageId", lambda bad: [f"a{bad}@b"]),
        ("header:X-A", lambda bad: f"a{bad}b"),
        ("header:X-A:asURLs", lambda bad: [f"a{bad}b"]),
        ("header:X-A:asGroupedAddresses", lambda bad: [{"name": f"a{bad}b", "addresses": []}]),
    ],
)
def test_a_line_break_in_a_header_value_is_refused(name: str, make: object, letter: str) -> None:
    assert callable(make)
    error = refuse({name: make(letter), **TEXT})
    assert (error.type, list(error.properties or ())) == ("invalidProperties", [name])


@pytest.mark.parametrize("letter", ["\r", "\n", "\0"])
@pytest.mark.parametrize("name", ["name", "type", "charset", "disposition", "cid", "location"])
def test_a_line_break_in_a_part_is_refused(name: str, letter: str) -> None:
    error = refuse({"attachments": [{"blobId": "Upng", name: f"a/{letter}b"}]})
    assert list(error.properties or ()) == [f"attachments/0/{name}"]


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({"id": "M1"}, ["id"]),
        ({"blobId": "B1", "size": 1, "preview": "x"}, ["blobId", "size", "preview"]),
        ({"headers": []}, ["headers"]),
        ({"colour": "red"}, ["colour"]),
        ({"subject": 1}, ["subject"]),
        ({"from": "a@b"}, ["from"]),
        ({"from": [{"email": "a@b", "more": 1}]}, ["from"]),
        ({"from": [{"name": "x"}]}, ["from"]),
        ({"from": [{"email": "a b@c"}]}, ["from"]),
        ({"from": [{"email": "a@b>, <c@d"}]}, ["from"]),
        ({"messageId": "a@b"}, ["messageId"]),
        ({"messageId": ["<a@b>"]}, ["messageId"]),
        ({"sentAt": "now"}, ["sentAt"]),
        ({"subject": "x" * 50_001}, ["subject"]),
        ({"subject": "a", "header:SUBJECT:asText": "b"}, ["header:SUBJECT:asText"]),
        ({"header:X:asText": "a", "header:x": "b"}, ["header:x"]),
        ({"header:From:asText": "a"}, ["header:From:asText"]),
        ({"header:Content-Type": "text/plain"}, ["header:Content-Type"]),
        ({"header:X:asText:all": "a"}, ["header:X:asText:all"]),
        ({"bodyValues": []}, ["bodyValues"]),
        ({"bodyValues": {"a": {}}}, ["bodyValues/a"]),
        ({"bodyValues": {"a": {"value": "x", "isTruncated": True}}}, ["bodyValues/a"]),
        ({"bodyValues": {"a": {"value": "x", "isEncodingProblem": True}}}, ["bodyValues/a"]),
        ({"textBody": []}, ["textBody"]),
        ({"textBody": [{"blobId": "Utext", "type": "text/html"}]}, ["textBody/0/type"]),
        ({"htmlBody": [{"blobId": "Utext", "type": "text/plain"}]}, ["htmlBody/0/type"]),
        ({"bodyStructure": {"blobId": "Upng"}, "textBody": [], "attachments": []}, ["textBody", "attachments"]),
        ({"bodyStructure": {"partId": "x"}}, ["bodyStructure/partId"]),
        ({"bodyStructure": {}}, ["bodyStructure/partId"]),
        ({"bodyStructure": []}, ["bodyStructure"]),
        ({"bodyStructure": {"blobId": "Upng", "partId": "x"}}, ["bodyStructure/partId"]),
        ({"bodyStructure": {"blobId": "Upng", "headers": []}}, ["bodyStructure/headers"]),
        ({"bodyStructure": {"blobId": "Upng", "more": 1}}, ["bodyStructure/more"]),
        ({"bodyStructure": {"blobId": "Upng", "type": "png"}}, ["bodyStructure/type"]),
        ({"bodyStructure": {"blobId": "Upng", "type": "image/png", "subParts": [{}]}}, ["bodyStructure/subParts"]),
        ({"bodyStructure": {"type": "multipart/mixed"}}, ["bodyStructure/subParts"]),
        (
            {"bodyStructure": {"type": "multipart/mixed", "blobId": "Upng", "subParts": [{"blobId": "Upng"}]}},
            ["bodyStructure/blobId"],
        ),
        (
            {"bodyStructure": {"blobId": "Upng", "header:Content-Transfer-Encoding": "7bit"}},
            ["bodyStructure/header:Content-Transfer-Encoding"],
        ),
        ({"bodyStructure": {"blobId": "Upng", "cid": "a", "header:Content-ID": "<b>"}}, ["bodyStructure/cid"]),
        (
            {"subject": "a", "bodyStructure": {"blobId": "Upng", "header:Subject": "b"}},
            ["bodyStructure/header:Subject"],
        ),
        ({"bodyStructure": {"blobId": "Upng", "language": "en"}}, ["bodyStructure/language"]),
    ],
)
def test_what_must_not_be_is_named(record: Mapping[str, object], properties: list[str]) -> None:
    error = refuse(record)
    assert (error.type, list(error.properties or ())) == ("invalidProperties", properties)


@pytest.mark.parametrize("extra", [{"charset": "utf-8"}, {"size": 3}])
def test_a_text_of_ours_has_neither_charset_nor_size(extra: Mapping[str, object]) -> None:
    error = refuse({"bodyValues": {"t": {"value": "x"}}, "textBody": [{"partId": "t", **extra}]})
    assert list(error.properties or ()) == [f"textBody/0/{next(iter(extra))}"]


def test_blobs_that_are_not_there_are_all_named() -> None:
    record = {"attachments": [{"blobId": "U1"}, {"blobId": "Upng"}, {"subParts": [{"blobId": "U2"}]}]}
    assert set(list_blobs(record)) == {"U1", "Upng", "U2"}
    error = refuse(record)
    assert (error.type, sorted(error.not_found or ())) == ("blobNotFound", ["U1", "U2"])


# -- body


def structure(octets: bytes) -> object:
    def shorten(part: Mapping[str, object]) -> object:
        below = part.get("subParts")
        return [part["type"], *map(shorten, below)] if isinstance(below, list) else part["type"]

    told = show_one(octets, "bodyStructure")
    assert isinstance(told, dict)
    return shorten(told)


PAGE: JsonObject = {
    "bodyValues": {"t": {"value": "Hi"}, "h": {"value": "<p>Hi<img src=cid:logo>"}},
    "textBody": [{"partId": "t"}],
    "htmlBody": [{"partId": "h"}],
}
LOGO: JsonObject = {"blobId": "Upng", "type": "image/png", "cid": "logo"}
FILE: JsonObject = {"blobId": "Utext", "type": "text/x-log", "name": "a.log"}


@pytest.mark.parametrize(
    ("record", "nested"),
    [
        ({}, "text/plain"),
        (TEXT, "text/plain"),
        (PAGE, ["multipart/alternative", "text/plain", "text/html"]),
        (
            {**PAGE, "attachments": [LOGO]},
            ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]],
        ),
        (
            {**PAGE, "attachments": [FILE, LOGO]},
            [
                "multipart/mixed",
                ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]],
                "text/x-log",
            ],
        ),
        ({**TEXT, "attachments": [LOGO]}, ["multipart/mixed", "text/plain", "image/png"]),
        ({"attachments": [FILE]}, ["multipart/mixed", "text/x-log"]),
    ],
)
def test_how_parts_nest(record: Mapping[str, object], nested: object) -> None:
    assert structure(compose(record)) == nested


def test_what_was_body_and_what_was_attached_is_so_again() -> None:
    octets = compose({**PAGE, "attachments": [FILE, LOGO]})
    told = show(
        octets,
        "textBody",
        "htmlBody",
        "attachments",
        "hasAttachment",
        bodyProperties=["type", "name", "cid", "disposition"],
    )
    assert told["hasAttachment"] is True
    assert told["attachments"] == [
        {"type": "image/png", "name": None, "cid": "logo", "disposition": "inline"},
        {"type": "text/x-log", "name": "a.log", "cid": None, "disposition": "attachment"},
    ]


@pytest.mark.parametrize(
    "name", ["plain.txt", "with space.txt", 'quo"te\\.txt', "größe.txt", "名" * 80 + ".txt", "x" * 300, "=?a?q?b?="]
)
def test_file_names_come_back(name: str) -> None:
    octets = compose({"attachments": [{"blobId": "Upng", "name": name, "disposition": "attachment"}]})
    told = show(octets, "attachments", bodyProperties=["name"])["attachments"]
    assert told == [{"name": name[:255]}]
    assert next(read(octets).iter_attachments()).get_filename() == name


@pytest.mark.parametrize("blob", list(BLOBS))
@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain"])
def test_blobs_keep_their_octets(blob: str, kind: str) -> None:
    octets = compose({"attachments": [{"blobId": blob, "type": kind}]})
    part = next(read(octets).iter_attachments())
    assert part.get_payload(decode=True) == BLOBS[blob]


def test_a_message_is_attached_as_it_is() -> None:
    octets = compose({"attachments": [{"blobId": "Uletter", "type": "message/rfc822"}]})
    assert b"Subject: caf\xc3\xa9\r\n\r\nhello\r\n" in octets
    assert octets.count(b"Content-Transfer-Encoding: 8bit") == 2  # the multipart's label says it too


def test_a_text_that_holds_the_boundary_does_not_end_its_part() -> None:
    value = "--=_t0k3n\n--=_t0k3n--\n--=_t0k3nx"
    record: JsonObject = {**TEXT, "bodyValues": {"t": {"value": value}}, "attachments": [FILE]}
    told = show(compose(record), "bodyValues", fetchTextBodyValues=True)["bodyValues"]
    assert isinstance(told, dict) and told["1"]["value"] == value


# -- what goes in comes out

LINE = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=30)
SUBJECT = LINE.map(lambda text: " ".join(text.split()))
NAME = SUBJECT.map(lambda text: text or None)
ATOM = st.text(st.sampled_from("abcXYZ019-_+"), min_size=1, max_size=12)
ADDRESS = st.builds(lambda name, local, host: {"name": name, "email": f"{local}@{host}"}, NAME, ATOM, ATOM)


def normalise(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(SUBJECT, st.lists(ADDRESS, min_size=1, max_size=4))
def test_any_subject_and_names_come_back(subject: str, addresses: list[dict[str, str | None]]) -> None:
    told = show(compose({"subject": subject, "to": addresses, **TEXT}), "subject", "to")
    assert told["subject"] == normalise(subject)
    wanted = [{"name": normalise(item["name"]) if item["name"] else None, "email": item["email"]} for item in addresses]
    assert told["to"] == wanted


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r"), max_size=400))
def test_any_text_comes_back(text: str) -> None:
    record = {"bodyValues": {"t": {"value": text}}, "textBody": [{"partId": "t"}], "attachments": [FILE]}
    told = show(compose_email(record, BLOBS, STAMP), "bodyValues", fetchTextBodyValues=True)["bodyValues"]
    assert told == {"1": {"value": text, "isEncodingProblem": False, "isTruncated": False}}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["partId", "blobId", "type", "subParts", "name", "email", "value", "cid", "language"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
PROPERTY = st.sampled_from(
    [
        "from",
        "subject",
        "sentAt",
        "textBody",
        "htmlBody",
        "attachments",
        "bodyStructure",
        "bodyValues",
        "header:X:asURLs",
    ]
)


@given(st.dictionaries(PROPERTY, ANY, max_size=4))
def test_any_record_is_a_message_or_refused(record: dict[str, object]) -> None:
    try:
        octets = compose_email(record, BLOBS, STAMP)
    except RecordRefused:
        return
    assert show(octets, "bodyStructure")
