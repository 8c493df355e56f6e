"""The `to` of a route."""

from __future__ import annotations

import pytest

from posthouse.message.nexthop import (
    DiscardHop,
    HostHop,
    LmtpSocketHop,
    MaildirHop,
    MxHop,
    NextHop,
    NextHopError,
    RejectHop,
    parse_next_hop,
)
from posthouse.message.reply import Reply


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("mx", MxHop()),
        ("discard", DiscardHop()),
        ("smtp://10.0.0.5:2525", HostHop("smtp", "10.0.0.5", 2525)),
        ("smtp://Mail.Example.Net", HostHop("smtp", "mail.example.net", 25)),
        ("smtps://mail.example.net", HostHop("smtps", "mail.example.net", 465)),
        ("lmtp://127.0.0.1:24", HostHop("lmtp", "127.0.0.1", 24)),
        ("smtp://[2001:DB8::1]:25", HostHop("smtp", "2001:db8::1", 25)),
        ("lmtp+unix:/run/lmtp.sock", LmtpSocketHop("/run/lmtp.sock")),
        ("maildir:/var/mail/{domain}/{local}", MaildirHop("/var/mail/{domain}/{local}")),
        ("reject:550 5.7.1 Not here", RejectHop(Reply(550, "5.7.1", "Not here"))),
        ("reject:450 Later", RejectHop(Reply(450, "", "Later"))),
    ],
)
def test_next_hops(text: str, hop: NextHop) -> None:
    assert parse_next_hop(text) == hop


@pytest.mark.parametrize(
    "text",
    [
        "", "MX", "mx ", "smtp://", "smtp://a:0", "smtp://a:65536", "smtp://a b", "ftp://a", "smtp:a",
        "smtp://[::1", "smtp://[zz]",
        "lmtp+unix:relative", "maildir:relative/{local}", "maildir:/{local}", "maildir:/a/../{local}",
        "maildir:/a/{user}",
        "maildir:/a/{local", "reject:200 hello", "reject:550 4.7.1 no", "reject:550", "smtp://a/path",
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(NextHopError):
        parse_next_hop(text)


@pytest.mark.parametrize(
    "text", ["smtp://[2001:db8::1]:25", "smtps://mail.example.net:465", "lmtp+unix:/run/l.sock", "maildir:/v/{local}"]
)
def test_a_next_hop_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_next_hop(text)) == text


def test_the_fixed_part_of_a_maildir_path() -> None:
    hop = parse_next_hop("maildir:/var/mail/box-{domain}/{local}")
    assert isinstance(hop, MaildirHop)
    assert hop.root == "/var/mail"
