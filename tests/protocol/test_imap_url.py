"""IMAP URLs of CATENATE."""

from __future__ import annotations

import pytest

from posthouse.protocol.imap.url import MessageUrl, UrlError, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/INBOX;UIDVALIDITY=7/;UID=20", MessageUrl(20, "INBOX", "", 7)),
        ("/INBOX/;UID=20", MessageUrl(20, "INBOX")),
        (
            "/Some%20Box/Below;UIDVALIDITY=7/;UID=20/;SECTION=1.2.MIME",
            MessageUrl(20, "Some Box/Below", "", 7, "1.2.MIME"),
        ),
        (";UID=3/;SECTION=HEADER", MessageUrl(3, section="HEADER")),
        ("imap://alice@example.org/INBOX/;uid=5", MessageUrl(5, "INBOX", "alice")),
        ("imap://alice%40a.test;AUTH=*@host:143/INBOX/;UID=5", MessageUrl(5, "INBOX", "alice@a.test")),
        ("/INBOX/;UID=20/;PARTIAL=5.10", MessageUrl(20, "INBOX", start=5, count=10)),
        ("/INBOX/;UID=20/;PARTIAL=5", MessageUrl(20, "INBOX", start=5)),
        ("/Caf%C3%A9/;UID=1", MessageUrl(1, "Café")),
    ],
)
def test_a_url_names_a_message_or_part(text: str, expected: MessageUrl) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/INBOX",
        "/INBOX;UIDVALIDITY=7",
        "/INBOX/;UID=0",
        "/INBOX/;UID=x",
        "/INBOX/;UID=1;UID=2",
        "/INBOX/;UID=1/;URLAUTH=anonymous",
        "/INBOX/;UID=1/;PARTIAL=x",
        "/%ff/;UID=1",
    ],
)
def test_what_names_no_message_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        parse_url(text)
