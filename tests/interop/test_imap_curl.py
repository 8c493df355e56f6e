"""curl on IMAP: lists, fetches, searches, uploads, any command by its name, and both ways to send a password."""

from __future__ import annotations

import pytest

from tests.interop.lab import Lab
from tests.interop.office import PASSWORD
from tests.interop.reading import HOSTNAME, World, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

LETTERS = [write_letter(f"Letter {number}", "Schöne Grüße.\r\n.\r\n") for number in range(3)]


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return open_world(lab)


class Curl:
    def __init__(self, world: World, account: str, port: int = 993) -> None:
        self._world = world
        self._url = f"{'imaps' if port == 993 else 'imap'}://{HOSTNAME}:{port}/"
        self._command = ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", str(world.certificate)]
        self._command += ["--user", f"{account}:{PASSWORD}"]

    def __call__(self, place: str, *words: str) -> str:
        return self._world.client.must(*self._command, *words, self._url + place)


@pytest.mark.parametrize("port", [143, 993])
def test_curl(world: World, port: int) -> None:
    account = world.take_account()
    curl = Curl(world, account, port)
    for number, letter in enumerate(LETTERS):
        path = world.path(f"letter-{number}")
        path.write_bytes(letter)
        curl("INBOX", "--upload-file", str(path))
    assert [each.octets for each in world.read(account)] == LETTERS
    assert {line.rpartition(" ")[2] for line in curl("").split("\r\n") if line} == {
        '"INBOX"', '"Archive"', '"Drafts"', '"Junk"', '"Sent"', '"Trash"'
    }  # fmt: skip
    assert curl("INBOX;UID=2").encode() == LETTERS[1]
    assert curl("INBOX;MAILINDEX=3;SECTION=TEXT") == "Schöne Grüße.\r\n.\r\n"
    assert curl("INBOX?SUBJECT%20%22letter%201%22").strip() == "* SEARCH 2"
    assert "* STATUS" in curl("", "--request", "STATUS INBOX (MESSAGES UIDNEXT HIGHESTMODSEQ)")
    curl("INBOX", "--request", "UID STORE 1 +FLAGS (\\Flagged)")
    curl("INBOX", "--request", "UID MOVE 2 Archive")
    assert "\\Flagged" in world.read(account)[0].flags
    assert [each.octets for each in world.read(account, "Archive")] == [LETTERS[1]]


@pytest.mark.parametrize("mechanism", ["LOGIN", "PLAIN"])
def test_the_ways_to_log_in(world: World, mechanism: str) -> None:
    curl = Curl(world, world.take_account())
    for words in ([], ["--sasl-ir"]):
        assert "INBOX" in curl("", "--login-options", f"AUTH={mechanism}", *words)


def test_a_letter_put_into_the_outbox_is_sent(world: World) -> None:
    account, friend = world.open_outbox(), world.take_account()
    path = world.path("letter")
    path.write_bytes(f"From: {account}\r\nTo: {friend}\r\nSubject: By curl\r\n\r\nHello.\r\n".encode())
    Curl(world, account)("Outbox", "--upload-file", str(path))
    assert world.server.find_stored(friend, "By curl").body.endswith(b"\r\n\r\nHello.\r\n")
    assert world.server.find_stored(account, "By curl", "Sent").flags == {"\\Seen"}
