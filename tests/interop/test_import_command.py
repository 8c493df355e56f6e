"""`posthouse import` of a Maildir that Dovecot filled by IMAP, beside the running server, with all that it knows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.interop.lab import Lab
from tests.interop.neighbours import write_message
from tests.interop.office import PostOffice, run_command
from tests.interop.peers import Dovecot

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

RECEIVED = 1_000_000_000
FLAGS = {
    "INBOX": ("", "\\Seen", "\\Seen \\Answered", "\\Flagged $Label1", "\\Deleted"),
    "Work/2024": ("\\Draft", "\\Seen $Forwarded $MDNSent", "NonJunk Project-X"),
}


@dataclass
class World:
    ours: PostOffice
    dovecot: Dovecot


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, dc = lab.add_host("ph"), lab.add_host("dc")
    return World(
        PostOffice(lab, ph, "mx.ph.test", ["domain add ph.test", "account add ann@ph.test"]),
        Dovecot(lab, dc, "dovecot.test", {"ann@old.test": ""}),
    )


def write_numbered(mailbox: str, number: int) -> bytes:
    return write_message(f"{mailbox}-{number}", ".\r\nschöne Grüße \t\r\n" + "line\r\n" * 1000 * number)


def fill(dovecot: Dovecot) -> None:
    client = dovecot.open_imap("ann@old.test")
    try:
        client.create("Work")
        client.create("Work/2024")
        for mailbox, all_flags in FLAGS.items():
            for number, flags in enumerate(all_flags):
                date = '"09-Sep-2001 01:46:40 +0000"'
                assert client.append(mailbox, "", date, write_numbered(mailbox, number))[0] == "OK"
                assert client.select(mailbox)[0] == "OK"
                assert client.store(str(number + 1), "FLAGS", f"({flags})")[0] == "OK"
    finally:
        client.logout()


def test_all_of_it_comes_over_and_only_once(world: World) -> None:
    fill(world.dovecot)
    words = ["import", "ann@ph.test", "maildir", str(world.dovecot.find_maildir("ann@old.test"))]
    for _ in range(2):
        run_command(world.ours.config, words)
    for mailbox, all_flags in FLAGS.items():
        stored = world.ours.read_mailbox("ann@ph.test", mailbox)
        found = {each.message["Subject"]: each for each in stored}
        assert len(stored) == len(all_flags)
        for number, flags in enumerate(all_flags):
            each = found[f"{mailbox}-{number}"]
            assert each.octets == write_numbered(mailbox, number)
            assert each.flags == set(flags.split())
            assert each.received == RECEIVED
