"""We deliver to Dovecot by LMTP, over TCP and over its socket; what it refuses goes back to the sender."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.interop.lab import Lab, wait_until
from tests.interop.neighbours import read_report, write_message
from tests.interop.office import PostOffice
from tests.interop.peers import Dovecot

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ROUTES = """
[[route]]
domain = "tcp.test"
to = "lmtp://@ADDRESS@:24"

[[route]]
domain = "sock.test"
to = "lmtp+unix:@SOCKET@"
"""
USERS = {"alice": "", "bob": "", "small": "10K"}
WAYS = pytest.mark.parametrize("way", ["tcp.test", "sock.test"])


@dataclass
class World:
    ours: PostOffice
    dovecot: Dovecot


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, dc = lab.add_host("ph"), lab.add_host("dc")
    users = {f"{name}@{way}": quota for name, quota in USERS.items() for way in ("tcp.test", "sock.test")}
    dovecot = Dovecot(lab, dc, "dovecot.test", users)
    tables = ROUTES.replace("@ADDRESS@", dc.ipv4).replace("@SOCKET@", str(dovecot.lmtp_socket))
    commands = ["domain add ph.test", "account add sender@ph.test"]
    return World(PostOffice(lab, ph, "mx.ph.test", commands, tables=tables), dovecot)


def wait_file(dovecot: Dovecot, address: str, subject: str) -> bytes:
    """As it lies in Dovecot's Maildir, with CRLF."""
    wanted = f"\r\nSubject: {subject}\r\n".encode()

    def look() -> bytes:
        found = [path.read_bytes() for path in dovecot.find_maildir(address).glob("new/*")]
        return next((octets for octets in found if wanted in octets), b"")

    return wait_until(look, f"{subject} for {address}")


@WAYS
def test_a_message_arrives_octet_for_octet(world: World, way: str) -> None:
    body = "schöne Grüße\r\n\r\n.\r\n..two dots\r\n \ttrailing \t\r\n" + "x" * 998 + "\r\n\r\n\r\n"
    message = write_message("octets", body)
    world.ours.submit("sender@ph.test", [f"alice@{way}"], message, mail_options=["BODY=8BITMIME"])
    octets = wait_file(world.dovecot, f"alice@{way}", "octets")
    assert octets.endswith(message)
    assert octets.startswith(b"Return-Path: <sender@ph.test>\r\nDelivered-To: alice@" + way.encode())
    assert octets.count(b"by mx.ph.test") == 1


@WAYS
def test_a_large_message_arrives_octet_for_octet(world: World, way: str) -> None:
    message = write_message("large", "".join(f"Zeile {number}: größer\r\n.\r\n" for number in range(80_000)))
    world.ours.submit("sender@ph.test", [f"bob@{way}"], message, mail_options=["BODY=8BITMIME"])
    assert wait_file(world.dovecot, f"bob@{way}", "large").endswith(message)


@WAYS
def test_what_dovecot_says_of_one_recipient_is_told_of_that_one(world: World, way: str) -> None:
    """Unknown at RCPT, over quota behind the message, two that have it."""
    subject = f"fates-{way}"
    names = ["alice", "small", "nobody", "bob"]
    before = len(world.ours.read_mailbox("sender@ph.test"))
    message = write_message(subject, "a line of a message that is too large\r\n" * 1000)
    world.ours.submit("sender@ph.test", [f"{name}@{way}" for name in names], message)
    for name in ("alice", "bob"):
        assert wait_file(world.dovecot, f"{name}@{way}", subject).endswith(message)
    reports: dict[str, tuple[str, str]] = {}

    def look() -> bool:
        for each in world.ours.read_mailbox("sender@ph.test")[before:]:
            for address, fields in read_report(each.message).items():
                assert fields["Action"] == "failed"
                reports[address] = (fields["Status"], fields["Diagnostic-Code"])
        return len(reports) >= 2

    wait_until(look, "reports about two")
    assert sorted(reports) == [f"nobody@{way}", f"small@{way}"]
    unknown, full = reports[f"nobody@{way}"], reports[f"small@{way}"]
    assert unknown[0] == "5.1.1"
    assert unknown[1].startswith("smtp; 550 5.1.1")
    assert full[0] == "5.2.2"
    assert full[1].startswith("smtp; 552 5.2.2")
    assert not list(world.dovecot.find_maildir(f"small@{way}").glob("new/*"))


def test_mail_waits_while_dovecot_is_stopped(world: World) -> None:
    """Last: the server of the others ends here."""
    world.dovecot.server.stop()
    world.ours.submit("sender@ph.test", ["alice@sock.test"], write_message("late"))
    row = world.ours.wait_deferred("sock.test")
    assert row["status"] == "deferred"
