"""The Outbox of a running server with an undo time: what waits in Scheduled is sent now, once."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.app.test_access_server import ANN, BOB, ReadingRoom
from tests.crash.server_under_load import wait_until


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    server = ReadingRoom(tmp_path, workers=1)
    server.config.write_text(server.config.read_text() + '[submission]\nundo = "1h"\n')
    server.command("account", "outbox", ANN, "on")
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_what_waits_is_moved_into_the_outbox_and_delivered_once(room: ReadingRoom) -> None:
    ann, bob = room.open_imap(ANN), room.open_imap(BOB)
    head = f"From: {ANN}\r\nTo: {BOB}\r\nSubject: now\r\nDate: {formatdate()}\r\nMessage-ID: <1@ours.example>\r\n"
    status, text = ann.append("Outbox", "", "", f"{head}\r\nHello.\r\n".encode())
    assert status == "OK" and b"Waits in Scheduled until" in text[0]
    assert ann.select("Scheduled")[1] == [b"1"]
    assert ann._simple_command("MOVE", "1", "Outbox") == ("OK", [b"Sent"])
    assert ann.select("Scheduled")[1] == [b"0"] and ann.select("Sent")[1] == [b"1"]
    wait_until(lambda: bob.select("INBOX")[1] == [b"1"], 20, "bob has it")
    assert ann._simple_command("MOVE", "1", "Outbox")[1][0].startswith(b"Sent before, not sent again; stays here")
    assert ann.select("Sent")[1] == [b"1"] and bob.select("INBOX")[1] == [b"1"]
