"""Provider rules: what matches, what is refused, and that the set we ship says what it should."""

from __future__ import annotations

import time
import tomllib
from importlib import resources

import pytest

from posthouse.message.reply import Reply
from posthouse.mta.rules import (
    Action,
    Bounce,
    Defer,
    NewConnection,
    RetryAfter,
    RuleError,
    Rules,
    SlowDown,
    Suspend,
    compile_reply,
    parse_rules,
)

_SHIPPED = tomllib.loads(resources.files("posthouse.mta").joinpath("provider_rules.toml").read_text("utf-8"))
SHIPPED = Rules(parse_rules(_SHIPPED["rule"]))


@pytest.mark.parametrize(
    ("mx", "reply", "kind"),
    [
        (
            "gmail-smtp-in.l.google.com",
            Reply(421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail"),
            SlowDown,
        ),
        (
            "aspmx2.googlemail.com",
            Reply(421, "4.7.0", "[192.0.2.1 15] Our system has detected suspicious mail"),
            SlowDown,
        ),
        (
            "aspmx.l.google.com",
            Reply(450, "4.2.1", "The user you are trying to contact is receiving mail too quickly."),
            RetryAfter,
        ),
        (
            "aspmx.l.google.com",
            Reply(452, "4.2.2", "The recipient's inbox is out of storage space."),
            RetryAfter,
        ),
        (
            "hotmail-com.olc.protection.outlook.com",
            Reply(421, "", "RP-001 (BAY) Unfortunately, some messages were deferred (RP-001)"),
            SlowDown,
        ),
        (
            "x.mail.protection.outlook.com",
            Reply(451, "4.7.650", "The mail server [192.0.2.1] has been temporarily rate limited"),
            SlowDown,
        ),
        ("x.mail.protection.outlook.com", Reply(451, "4.7.500", "Server busy. Please try again later"), Suspend),
        (
            "mta5.am0.yahoodns.net",
            Reply(421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints"),
            Suspend,
        ),
        ("mx01.t-online.de", Reply(554, "", "IP=192.0.2.1 - A problem occurred. Ask tosa@rx.t-online.de"), Defer),
        ("mx.example.net", Reply(451, "4.7.1", "Greylisted, please try again in 300 seconds"), RetryAfter),
        ("mx.example.net", Reply(452, "4.2.2", "Mailbox full"), RetryAfter),
        ("mx.example.net", Reply(450, "4.7.1", "Service unavailable; client blocked using zen.spamhaus.org"), Suspend),
        ("mx.example.net", Reply(421, "4.7.0", "Too many connections from your IP"), SlowDown),
        ("mx.example.net", Reply(421, "4.5.1", "Too many messages in this session"), NewConnection),
        ("mx.example.net", Reply(450, "5.2.1", "This account has been disabled"), Bounce),
    ],
)
def test_what_large_providers_say_is_understood(mx: str, reply: Reply, kind: type[Action]) -> None:
    assert isinstance(SHIPPED.find_action(reply, "example.net", mx), kind)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(250, "2.0.0", "OK, mailbox full of thanks"),
        Reply(550, "5.1.1", "User unknown"),
        Reply(552, "5.2.2", "Mailbox full"),
        Reply(550, "5.7.1", "Message blocked using zen.spamhaus.org"),
        Reply(451, "4.3.0", "Temporary lookup failure"),
        Reply(451, "4.4.1", "Connection timed out"),
        Reply(450, "4.1.1", "Recipient address rejected: unverified address"),
        Reply(421, "4.3.2", "Service shutting down"),
    ],
)
def test_ordinary_replies_stay_what_they_are(reply: Reply) -> None:
    assert SHIPPED.find_action(reply, "example.net", "mx.example.net") is None


def test_a_providers_rule_is_for_its_hosts_only() -> None:
    reply = Reply(421, "4.7.28", "Our system has detected something")
    assert SHIPPED.find_action(reply, "gmail.com", "mx.google.com.example.net") is None
    assert SHIPPED.find_action(reply, "gmail.com", "smtp.google.com") is not None


def test_the_first_rule_that_matches_counts() -> None:
    rules = Rules(
        parse_rules(
            [
                {"reply": "slow", "action": "retry_after", "after": "90s", "domain": "a.example"},
                {"reply": "slow", "action": "slow_down", "per_minute": 5, "for": "2h"},
            ]
        )
    )
    assert rules.find_action(Reply(450, "", "too SLOW"), "a.example", "mx") == RetryAfter(90)
    assert rules.find_action(Reply(450, "", "too slow"), "b.example", "mx") == SlowDown(5, 7200)
    assert rules.find_action(Reply(450, "", "other"), "b.example", "mx") is None


def test_no_rules_do_nothing() -> None:
    assert Rules().find_action(Reply(450, "4.2.0", "x"), "a.example", "mx") is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"reply": "x", "action": "explode"}, "rule 1: action 'explode' is not one of"),
        ({"reply": "x"}, "action must be a text"),
        ({"action": "bounce"}, "reply must be a text"),
        ({"reply": "(", "action": "bounce"}, "reply: "),
        ({"reply": "(a+)+$", "action": "bounce"}, "repeated group"),
        ({"reply": "(a|b){2,}", "action": "bounce"}, "repeated group"),
        ({"reply": ".*a.*b.*c.*d", "action": "bounce"}, "unbounded repeats"),
        ({"reply": "x", "action": "suspend"}, "suspend takes for"),
        ({"reply": "x", "action": "bounce", "for": "1h"}, "bounce takes no arguments"),
        ({"reply": "x", "action": "suspend", "for": "soon"}, "for must be a time"),
        ({"reply": "x", "action": "suspend", "for": 5}, "for must be a text"),
        ({"reply": "x", "action": "slow_down", "per_minute": 0, "for": "1h"}, "per_minute must be"),
        ({"reply": "x", "action": "bounce", "site": "x"}, "unknown key 'site'"),
        ({"reply": "x", "action": "bounce", "mx": [3]}, "mx must be a text"),
    ],
)
def test_a_wrong_rule_is_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules([table])
    assert words in str(caught.value)


def test_a_hostile_reply_cannot_stall_a_match() -> None:
    compile_reply(r"^4\d\d (4\.2\.2 )?.*too many .*connections")
    hostile = Reply(450, "4.7.1", ("too many " * 20_000) + "x" * 100_000)
    begin = time.process_time()
    for _ in range(20):
        SHIPPED.find_action(hostile, "example.net", "mx.example.net")
    assert time.process_time() - begin < 1
