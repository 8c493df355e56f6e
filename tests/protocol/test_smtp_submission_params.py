"""What logged-in users may say with MAIL beyond relaying: FUTURERELEASE (RFC 4865) and DELIVERBY (RFC 2852)."""

from __future__ import annotations

import pytest

from posthouse.message.address import parse_address
from posthouse.protocol.smtp.grammar import CommandError
from posthouse.protocol.smtp.server_commands import read_mail
from posthouse.protocol.smtp.server_events import ByTime, MailFrom
from posthouse.protocol.smtp.server_settings import ServerSettings

SETTINGS = ServerSettings(
    "mail.example.org", mt_priority=True, future_release="86400 2030-01-01T00:00:00Z", deliver_by=True
)
A = parse_address("a@b.example")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("HOLDFOR=3600", MailFrom(A, hold_for_s=3600)),
        ("HOLDUNTIL=2027-01-15T08:00:00Z", MailFrom(A, hold_until=1_800_000_000.0)),
        ("holduntil=2027-01-15t10:00:00+02:00", MailFrom(A, hold_until=1_800_000_000.0)),
        ("BY=120;R", MailFrom(A, by=ByTime(120, True, False))),
        ("BY=+120;rt", MailFrom(A, by=ByTime(120, True, True))),
        ("BY=-60;N", MailFrom(A, by=ByTime(-60, False, False))),
        ("SIZE=10 MT-PRIORITY=3 BY=0;NT", MailFrom(A, size=10, mt_priority=3, by=ByTime(0, False, True))),
    ],
)
def test_parameters_are_understood(words: str, expected: MailFrom) -> None:
    assert read_mail(f"FROM:<a@b.example> {words}", SETTINGS) == expected


@pytest.mark.parametrize(
    "words",
    [
        "HOLDFOR",
        "HOLDFOR=0",
        "HOLDFOR=-1",
        "HOLDFOR=1234567890",
        "HOLDUNTIL=tomorrow",
        "HOLDUNTIL=2027-01-15",
        "HOLDUNTIL=2027-13-15T08:00:00Z",
        "HOLDUNTIL=2027-01-15T08:00:00",
        "HOLDFOR=10 HOLDUNTIL=2027-01-15T08:00:00Z",
        "HOLDUNTIL=2027-01-15T08:00:00Z HOLDFOR=10",
        "BY=120",
        "BY=120;X",
        "BY=;R",
        "BY=0;R",
        "BY=-1;R",
        "BY=1234567890;N",
    ],
)
def test_a_value_that_makes_no_sense_is_501(words: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_mail(f"FROM:<a@b.example> {words}", SETTINGS)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")


def test_what_is_not_offered_is_555() -> None:
    for words in ("HOLDFOR=10", "HOLDUNTIL=2027-01-15T08:00:00Z", "BY=10;R", "MT-PRIORITY=1"):
        with pytest.raises(CommandError) as caught:
            read_mail(f"FROM:<a@b.example> {words}", ServerSettings("mail.example.org"))
        assert caught.value.reply.code == 555


def test_keywords_are_offered_with_their_limits() -> None:
    assert "FUTURERELEASE 86400 2030-01-01T00:00:00Z" in SETTINGS.keywords
    assert {"DELIVERBY", "MT-PRIORITY"} <= set(SETTINGS.keywords)
    hidden = ServerSettings("x.example", deliver_by=True, hidden=frozenset({"DELIVERBY"}))
    assert "BY" not in hidden.mail_parameters
