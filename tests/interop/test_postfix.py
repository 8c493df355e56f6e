"""Postfix as our client and as our next hop, by MX, over the real port 25."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.interop.lab import Lab, Posthouse
from tests.interop.neighbours import open_hosts, start_ours, write_eight_bits
from tests.interop.peers import Postfix

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

EIGHT_BIT = write_eight_bits("b@pf.test")
OLD = "smtpd_discard_ehlo_keywords=8bitmime,chunking,smtputf8,dsn,enhancedstatuscodes,starttls,pipelining"
SLOW = (
    "smtpd_recipient_restrictions=check_recipient_access inline:{ {slow@pf.test = 450 4.2.0 later} },"
    "permit_mynetworks,reject_unauth_destination"
)


@dataclass
class World:
    ours: Posthouse
    postfix: Postfix
    old: Postfix


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, pf, old = open_hosts(lab, ("ph", "pf", "old"))
    people = ["a@pf.test", "b@pf.test", "slow@pf.test", "jörg@pf.test"]
    return World(
        start_ours(lab, ph),
        Postfix(lab, pf, "mx.pf.test", people, SLOW),
        Postfix(lab, old, "mx.old.test", ["b@old.test"], OLD),
    )


def test_postfix_sends_us_mail_over_tls(world: World) -> None:
    world.postfix.sendmail("-f", "a@pf.test", "tls@ph.test", data="Subject: hello\n\ntext\n")
    message = world.ours.wait_mail("tls@ph.test")[0]
    assert "with ESMTPS" in message["Received"]
    assert "mx.pf.test" in message["Received"]


def test_postfix_sends_us_utf8_addresses(world: World) -> None:
    world.postfix.sendmail("-f", "jörg@pf.test", "rené@ph.test", data="Subject: Grüße\n\ntext\n")
    message = world.ours.wait_mail("rené@ph.test")[0]
    assert "with UTF8SMTPS" in message["Received"]
    assert message["Subject"] == "Grüße"


def test_postfix_gets_the_success_report_that_its_user_asked_for(world: World) -> None:
    before = len(world.postfix.list_mail("a@pf.test"))
    words = ["-N", "success,failure", "-V", "envelope-1", "-f", "a@pf.test"]
    world.postfix.sendmail(*words, "success@ph.test", data="Subject: report me\n\ntext\n")
    report = world.postfix.wait_mail("a@pf.test", before + 1)[before]
    assert report.get_content_type() == "multipart/report"
    assert "Action: delivered" in report.as_string()
    assert "Original-Envelope-Id: envelope-1" in report.as_string()
    assert "with ESMTPS" in report["Received"]


def test_postfix_bounces_what_we_refuse(world: World) -> None:
    before = len(world.postfix.list_mail("b@pf.test"))
    world.postfix.sendmail("-f", "b@pf.test", "nobody@few.ph.test", data="Subject: to nobody\n\ntext\n")
    report = world.postfix.wait_mail("b@pf.test", before + 1)[before]
    assert "5.1.1" in report.as_string()


def test_postfix_sends_many_messages_on_one_connection(world: World) -> None:
    for number in range(20):
        world.postfix.sendmail("-f", "a@pf.test", "many@ph.test", data=f"Subject: {number}\n\ntext\n")
    assert len(world.ours.wait_mail("many@ph.test", 20)) == 20


def test_we_send_postfix_eight_bits_over_tls(world: World) -> None:
    before = len(world.postfix.list_mail("b@pf.test"))
    world.ours.submit("a@ph.test", ["b@pf.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    message = world.postfix.wait_mail("b@pf.test", before + 1)[before]
    assert "with ESMTPS" in message["Received"]
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_content().strip() == "schöne Grüße"


def test_we_send_postfix_a_large_message_by_bdat(world: World) -> None:
    before = len(world.postfix.list_mail("b@pf.test"))
    world.ours.submit("a@ph.test", ["b@pf.test"], EIGHT_BIT * 800, mail_options=["BODY=8BITMIME"])
    message = world.postfix.wait_mail("b@pf.test", before + 1)[before]
    assert message.get_content().count("schöne Grüße") == 800
    assert "BDAT" in world.postfix.read_log()


def test_we_send_postfix_utf8_addresses(world: World) -> None:
    text = "From: zoë@ph.test\r\nSubject: Grüße\r\n\r\ntext\r\n"
    world.ours.submit("zoë@ph.test", ["jörg@pf.test"], text, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert world.postfix.wait_mail("jörg@pf.test")[0]["Subject"] == "Grüße"


def test_what_postfix_refuses_comes_back_in_plain_words(world: World) -> None:
    world.ours.submit("refused@ph.test", ["nobody@pf.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    report = world.ours.wait_mail("refused@ph.test")[0]
    text = report.as_string()
    assert report["Return-Path"] == "<>"
    assert "nobody@pf.test" in text
    assert "Action: failed" in text
    assert "Remote-MTA: dns;mx.pf.test" in text.replace("dns; ", "dns;")


def test_what_postfix_defers_waits_with_its_reply(world: World) -> None:
    world.ours.submit("a@ph.test", ["slow@pf.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    row = world.ours.wait_deferred("pf.test")
    assert row["status"] == "deferred"
    assert "4.2.0" in str(row["last_reply"])
    world.ours.command("queue", "delete", "--domain", "pf.test")


def test_eight_bits_are_encoded_for_a_host_without_8bitmime(world: World) -> None:
    before = len(world.old.list_mail("b@old.test"))
    world.ours.submit("a@ph.test", ["b@old.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    message = world.old.wait_mail("b@old.test", before + 1)[before]
    assert message["Content-Transfer-Encoding"] in ("quoted-printable", "base64")
    assert message.get_content().strip() == "schöne Grüße"


def test_utf8_addresses_that_cannot_go_come_back(world: World) -> None:
    text = "From: zoe@ph.test\r\nSubject: Grüße\r\n\r\ntext\r\n"
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    world.ours.submit("utf8-sender@ph.test", ["jörg@old.test"], text, mail_options=options)
    assert "5.6.7" in world.ours.wait_mail("utf8-sender@ph.test")[0].as_string()


def test_a_success_report_is_made_by_us_where_the_next_host_has_no_dsn(world: World) -> None:
    text = "From: relayed@ph.test\r\nSubject: plain\r\n\r\ntext\r\n"
    world.ours.submit("relayed@ph.test", ["b@old.test"], text, rcpt_options=["NOTIFY=SUCCESS"])
    assert "Action: relayed" in world.ours.wait_mail("relayed@ph.test")[0].as_string()


def test_a_success_report_is_left_to_postfix_where_it_has_dsn(world: World) -> None:
    text = "From: passed@ph.test\r\nSubject: plain\r\n\r\ntext\r\n"
    world.ours.submit("passed@ph.test", ["b@pf.test"], text, rcpt_options=["NOTIFY=SUCCESS"])
    report = world.ours.wait_mail("passed@ph.test")[0].as_string()
    assert "Reporting-MTA: dns; mx.pf.test" in report
    assert "Action: delivered" in report
