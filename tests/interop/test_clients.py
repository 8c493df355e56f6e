"""Clients that people use, each delivering to us on the real port 25."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.interop.lab import NETWORK4, Host, Lab, Posthouse

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

TEXT = "From: a@there.test\r\nTo: b@here.test\r\nSubject: greetings\r\n\r\nHello from a real client.\r\n"

TABLES = f"""
[[listener]]
service = "smtp"
bind = "0.0.0.0:2526"
proxy_protocol = ["{NETWORK4}.0/24"]

[[listener]]
service = "smtp"
bind = "0.0.0.0:2527"
xclient = ["{NETWORK4}.0/24"]

[[listener]]
service = "lmtp"
bind = "127.0.0.1:24"

[[listener]]
service = "smtp"
bind = "0.0.0.0:465"
tls = "implicit"

[[route]]
domain = "few.test"
to = "maildir:@MAIL@/{{domain}}/{{local}}"
accept = "anyone"
recipients = ["alice"]
"""


@dataclass
class World:
    server: Posthouse
    client: Host


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    host, client = lab.add_host("server"), lab.add_host("client")
    tables = TABLES.replace("@MAIL@", str(host.directory / "mail"))
    yield World(Posthouse(lab, host, "mx.here.test", ["here.test"], tables=tables), client)


def swaks(world: World, recipient: str, *words: str) -> str:
    command = ["swaks", "--server", world.server.host.ipv4, "--ehlo", "client.test", "--from", "a@there.test"]
    return world.client.must(*command, "--to", recipient, *words)


def test_swaks_delivers_over_starttls(world: World) -> None:
    swaks(world, "swaks@here.test", "--tls", "--body", "one line")
    message = world.server.wait_mail("swaks@here.test")[0]
    assert "with ESMTPS" in message["Received"]
    assert "TLS" in message["Received"]
    assert message["Return-Path"] == "<a@there.test>"


def test_swaks_delivers_over_implicit_tls(world: World) -> None:
    swaks(world, "implicit@here.test", "--tls-on-connect", "--port", "465")
    assert "with ESMTPS" in world.server.wait_mail("implicit@here.test")[0]["Received"]


def test_swaks_pipelines(world: World) -> None:
    swaks(world, "pipe1@here.test,pipe2@here.test", "--pipeline")
    world.server.wait_mail("pipe1@here.test")
    world.server.wait_mail("pipe2@here.test")


def test_swaks_sends_an_attachment_that_arrives_unchanged(world: World) -> None:
    octets = bytes(range(256)) * 400
    path = world.client.directory / "attachment.bin"
    path.write_bytes(octets)
    swaks(world, "attach@here.test", "--attach", f"@{path}")
    message = world.server.wait_mail("attach@here.test")[0]
    assert octets in [part.get_payload(decode=True) for part in message.walk()]


def test_behind_a_proxy_the_announced_client_counts(world: World) -> None:
    source = ["--proxy-source", "192.0.2.7", "--proxy-source-port", "4711"]
    target = ["--proxy-dest", "192.0.2.8", "--proxy-dest-port", "25"]
    for version in ("1", "2"):
        words = [
            "--port",
            "2526",
            "--proxy-version",
            version,
            "--proxy-family",
            "TCP4" if version == "1" else "AF_INET",
        ]
        words += ["--proxy-protocol", "STREAM", "--proxy-command", "PROXY"] if version == "2" else []
        swaks(world, f"proxy{version}@here.test", *words, *source, *target)
        assert "192.0.2.7" in world.server.wait_mail(f"proxy{version}@here.test")[0]["Received"]


def test_xclient_from_a_configured_network_names_the_client(world: World) -> None:
    swaks(world, "xclient@here.test", "--port", "2527", "--xclient-addr", "192.0.2.9", "--xclient-name", "far.test")
    assert "192.0.2.9" in world.server.wait_mail("xclient@here.test")[0]["Received"]


def test_a_stranger_may_not_relay(world: World) -> None:
    answers = world.client.send_mail(world.server.host.ipv4, "a@there.test", ["b@elsewhere.test"], TEXT)
    assert answers["b@elsewhere.test"].startswith("550 5.7.1")


def test_an_unknown_recipient_is_refused_at_once(world: World) -> None:
    answers = world.client.send_mail(world.server.host.ipv4, "a@there.test", ["alice@few.test", "bob@few.test"], TEXT)
    assert list(answers) == ["bob@few.test"]
    assert answers["bob@few.test"].startswith("550 5.1.1")
    world.server.wait_mail("alice@few.test")


def test_msmtp_delivers_over_starttls(world: World) -> None:
    words = ["--host", world.server.host.ipv4, "--port", "25", "--tls=on", "--tls-starttls=on", "--tls-certcheck=off"]
    world.client.must("msmtp", "--file=/dev/null", *words, "-f", "a@there.test", "msmtp@here.test", data=TEXT)
    assert "with ESMTPS" in world.server.wait_mail("msmtp@here.test")[0]["Received"]


def test_curl_delivers_over_starttls(world: World) -> None:
    path = world.client.directory / "curl.eml"
    path.write_bytes(TEXT.encode())
    url = f"smtp://{world.server.host.ipv4}/client.test"
    words = ["--mail-from", "a@there.test", "--mail-rcpt", "curl@here.test", "--upload-file", str(path)]
    world.client.must("curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", url, *words)
    assert "with ESMTPS" in world.server.wait_mail("curl@here.test")[0]["Received"]


def test_smtplib_delivers_by_ipv6(world: World) -> None:
    assert not world.client.send_mail(world.server.host.ipv6, "a@there.test", ["six@here.test"], TEXT, tls=True)
    assert f"IPv6:{world.client.ipv6}" in world.server.wait_mail("six@here.test")[0]["Received"]


def test_smtplib_sends_utf8_addresses_and_headers(world: World) -> None:
    text = "From: Jörg <jörg@there.test>\r\nSubject: Grüße\r\n\r\nschön\r\n"
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    answers = world.client.send_mail(
        world.server.host.ipv4, "jörg@there.test", ["用户@here.test"], text, mail_options=options
    )
    assert not answers
    world.server.wait_mail("用户@here.test")
    stored = next((world.server.find_maildir("用户@here.test") / "new").iterdir()).read_bytes()
    assert "Subject: Grüße".encode() in stored
    assert b"UTF8SMTP" in stored


def test_smtplib_gets_a_success_report_that_it_asked_for(world: World) -> None:
    answers = world.client.send_mail(
        world.server.host.ipv4,
        "asker@here.test",
        ["asked@here.test"],
        TEXT,
        mail_options=["RET=HDRS", "ENVID=env+2D1"],
        rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;first@here.test"],
    )
    assert not answers
    report = world.server.wait_mail("asker@here.test")[0]
    assert report.get_content_type() == "multipart/report"
    text = report.as_string()
    assert "Original-Envelope-Id: env-1" in text
    assert "Action: delivered" in text
    assert "Original-Recipient: rfc822;first@here.test" in text.replace("rfc822; ", "rfc822;")
    assert report["Return-Path"] == "<>"


def test_a_large_message_arrives_whole(world: World) -> None:
    body = "".join(f"line {number} of a large message, with a dot:\r\n.\r\n" for number in range(100_000))
    assert not world.client.send_mail(world.server.host.ipv4, "a@there.test", ["large@here.test"], TEXT + body)
    world.server.wait_mail("large@here.test")
    stored = next((world.server.mail / "here.test" / "large" / "new").iterdir()).read_bytes()
    assert stored.replace(b"\r\n", b"\n").endswith(body.replace("\r\n", "\n").encode())


def test_smtplib_delivers_by_lmtp_with_a_reply_for_each(world: World) -> None:
    server = world.server.host
    assert not server.send_mail("127.0.0.1", "a@there.test", ["lmtp@here.test"], TEXT, port=24, is_lmtp=True)
    assert "with LMTP" in world.server.list_mail("lmtp@here.test")[0]["Received"]


def test_the_sendmail_command_delivers(world: World) -> None:
    world.server.command("sendmail", "-f", "a@there.test", "cron@here.test", data="Subject: by hand\n\nhello\n")
    assert world.server.wait_mail("cron@here.test")[0]["Subject"] == "by hand"


def test_what_happened_to_a_message_can_be_traced(world: World) -> None:
    swaks(world, "traced@here.test")
    world.server.wait_mail("traced@here.test")
    assert "traced@here.test" in world.server.command("trace", "traced@here.test")
