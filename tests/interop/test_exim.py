"""Exim as our client and as our next hop, by MX, over the real port 25."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.interop.lab import Lab, Posthouse
from tests.interop.neighbours import open_hosts, start_ours, write_eight_bits
from tests.interop.peers import Exim

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

EIGHT_BIT = write_eight_bits("b@ex.test")


@dataclass
class World:
    ours: Posthouse
    exim: Exim


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, ex = open_hosts(lab, ("ph", "ex"))
    people = ["a@ex.test", "b@ex.test", "jörg@ex.test"]
    return World(start_ours(lab, ph), Exim(lab, ex, "mx.ex.test", people))


def test_exim_sends_us_mail_over_tls_by_bdat(world: World) -> None:
    world.exim.sendmail("-f", "a@ex.test", "tls@ph.test", data="Subject: hello\n\ntext\n")
    message = world.ours.wait_mail("tls@ph.test")[0]
    assert "with ESMTPS" in message["Received"]
    lines = [line for line in world.exim.read_log().splitlines() if "=> tls@ph.test" in line]
    assert " K " in lines[0], "Exim writes K where it used CHUNKING"


def test_exim_sends_us_utf8_addresses(world: World) -> None:
    world.exim.sendmail("-f", "jörg@ex.test", "rené@ph.test", data="Subject: Grüße\n\ntext\n")
    message = world.ours.wait_mail("rené@ph.test")[0]
    assert "with UTF8SMTPS" in message["Received"]
    assert message["Subject"] == "Grüße"


def test_exim_gets_the_success_report_that_its_user_asked_for(world: World) -> None:
    before = len(world.exim.list_mail("a@ex.test"))
    options = {"mail_options": ["ENVID=envelope-1"], "rcpt_options": ["NOTIFY=SUCCESS"]}
    refused = world.exim.host.send_mail("127.0.0.1", "a@ex.test", ["success@ph.test"], EIGHT_BIT, **options)
    assert not refused
    report = world.exim.wait_mail("a@ex.test", before + 1)[before]
    assert "Action: delivered" in report.as_string()
    assert "Original-Envelope-Id: envelope-1" in report.as_string()


def test_exim_bounces_what_we_refuse(world: World) -> None:
    before = len(world.exim.list_mail("b@ex.test"))
    world.exim.sendmail("-f", "b@ex.test", "nobody@few.ph.test", data="Subject: to nobody\n\ntext\n")
    report = world.exim.wait_mail("b@ex.test", before + 1)[before]
    assert "5.1.1" in report.as_string()


def test_we_send_exim_eight_bits_over_tls(world: World) -> None:
    before = len(world.exim.list_mail("b@ex.test"))
    world.ours.submit("a@ph.test", ["b@ex.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    message = world.exim.wait_mail("b@ex.test", before + 1)[before]
    assert "with esmtps" in message["Received"]
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_content().strip() == "schöne Grüße"


def test_we_send_exim_a_large_message_by_bdat(world: World) -> None:
    before = len(world.exim.list_mail("b@ex.test"))
    world.ours.submit("a@ph.test", ["b@ex.test"], EIGHT_BIT * 800, mail_options=["BODY=8BITMIME"])
    message = world.exim.wait_mail("b@ex.test", before + 1)[before]
    assert message.get_content().count("schöne Grüße") == 800
    lines = [line for line in world.exim.read_log().splitlines() if "<= a@ph.test" in line]
    assert " K " in lines[-1], "Exim writes K where we used CHUNKING"


def test_we_send_exim_utf8_addresses(world: World) -> None:
    text = "From: zoë@ph.test\r\nSubject: Grüße\r\n\r\ntext\r\n"
    world.ours.submit("zoë@ph.test", ["jörg@ex.test"], text, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert world.exim.wait_mail("jörg@ex.test")[0]["Subject"] == "Grüße"


def test_what_exim_refuses_comes_back_in_plain_words(world: World) -> None:
    world.ours.submit("refused@ph.test", ["x@sub.ex.test"], EIGHT_BIT, mail_options=["BODY=8BITMIME"])
    assert "Action: failed" in world.ours.wait_mail("refused@ph.test")[0].as_string()


def test_a_success_report_is_left_to_exim_where_it_has_dsn(world: World) -> None:
    text = "From: passed@ph.test\r\nSubject: plain\r\n\r\ntext\r\n"
    world.ours.submit("passed@ph.test", ["b@ex.test"], text, rcpt_options=["NOTIFY=SUCCESS"])
    report = world.ours.wait_mail("passed@ph.test")[0].as_string()
    assert "mx.ex.test" in report
    assert "Action: delivered" in report
