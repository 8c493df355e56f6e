"""Reading mail from a real server: one session per maildrop, a reload, an end, and who is disabled."""

from __future__ import annotations

import imaplib
import json
import poplib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.manage.accounts import AppPasswordOptions
from posthouse.ports.directory_admin import AccountChange
from tests.crash.server_under_load import Server, free_port, wait_until

ANN, BOB, CARL = "ann@ours.example", "bob@ours.example", "carl@ours.example"


class ReadingRoom(Server):
    """ann, bob and carl; POP3 with STARTTLS, two workers."""

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.pop3, self.imap = free_port(), free_port()
        self.config.write_text(
            f'postmaster = "{ANN}"\ndrain = "1h"\n{self.config.read_text()}'
            f'[[listener]]\nservice = "pop3"\nbind = "127.0.0.1:{self.pop3}"\ntls = "starttls"\n'
            f'[[listener]]\nservice = "imap"\nbind = "127.0.0.1:{self.imap}"\ntls = "implicit"\n'
            f'hide_capabilities = ["NOTIFY"]\n'
            f"[imap]\nsessions_per_account = 2\n"
        )
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("ours.example")
            self.passwords = {name: tools.add_account(name, AccountChange()) for name in (ANN, BOB, CARL)}

    def connect(self) -> poplib.POP3:
        return poplib.POP3("127.0.0.1", self.pop3, 20)

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.base / "data" / "self-signed.pem"))
        context.check_hostname = False
        return context

    def open_imap(self, name: str) -> imaplib.IMAP4:
        client = imaplib.IMAP4_SSL("127.0.0.1", self.imap, ssl_context=self.trust(), timeout=20)
        client.login(name, self.passwords[name])
        return client

    def log_in(self, name: str) -> poplib.POP3:
        client = self.connect()
        client.stls(self.trust())
        client.user(name)
        client.pass_(self.passwords[name])
        return client

    def sessions(self, service: str = "pop3") -> dict[str, dict[str, str]]:
        found = [json.loads(line) for line in self.command("sessions", "list", "--json").splitlines()]
        return {each["login"]: each for each in found if each["service"] == service}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ReadingRoom]:
    server = ReadingRoom(tmp_path, workers=2)
    try:
        server.start()
        yield server
    finally:
        server.close()


def last_line(client: poplib.POP3) -> bytes:
    return client.file.readline()


def is_in_use(room: ReadingRoom, name: str) -> bool:
    with pytest.raises(poplib.error_proto) as refusal:
        room.log_in(name)
    return b"[IN-USE]" in refusal.value.args[0]


def test_sessions_go_on_after_a_reload_and_are_told_when_the_server_stops(room: ReadingRoom) -> None:
    ann = room.log_in(ANN)
    assert ann.stat() == (0, 0)
    assert all(is_in_use(room, ANN) for _ in range(4))  # whichever worker takes it
    before = set(room.children("worker_process"))
    room.reload()
    wait_until(lambda: len(set(room.children("worker_process")) - before) == 2, 30, "there are new workers")
    wait_until(room.answers, 30, "they answer")
    assert ann.noop() == b"+OK"
    assert is_in_use(room, ANN)
    assert room.log_in(BOB).stat() == (0, 0)
    begun = time.monotonic()
    assert room.stop() == 0
    assert last_line(ann) == b"-ERR [SYS/TEMP] The server stops, come back soon\r\n"
    assert time.monotonic() - begun < 15


def test_an_administrator_ends_a_session_and_the_maildrop_is_free(room: ReadingRoom) -> None:
    ann, _bob = room.log_in(ANN), room.log_in(BOB)
    assert room.sessions().keys() == {ANN, BOB}
    assert room.sessions()[ANN]["tls"] == "TLSv1.3"
    room.command("sessions", "kill", room.sessions()[ANN]["id"])
    assert last_line(ann).startswith(b"-ERR [SYS/TEMP] The administrator of this server has ended this session")
    ann.close()
    wait_until(lambda: ANN not in room.sessions(), 10, "her session is gone")
    assert room.log_in(ANN).stat() == (0, 0)


def test_an_imap_session_says_where_it_is_and_can_be_ended(room: ReadingRoom) -> None:
    ann = room.open_imap(ANN)
    assert ann.select() == ("OK", [b"0"])
    assert "NOTIFY" not in ann.capabilities
    assert room.sessions("imap")[ANN]["doing"] == "in INBOX"
    room.command("sessions", "kill", room.sessions("imap")[ANN]["id"])
    assert ann.readline().startswith(b"* BYE ")


def test_an_account_has_so_many_sessions_over_all_workers(room: ReadingRoom) -> None:
    _first, _second = room.open_imap(ANN), room.open_imap(ANN)
    wait_until(lambda: all(is_limited(room, ANN) for _ in range(4)), 10, "the workers have told each other")
    assert room.open_imap(BOB).noop()[0] == "OK"


def is_limited(room: ReadingRoom, name: str) -> bool:
    try:
        room.open_imap(name).logout()
    except imaplib.IMAP4.error as error:
        return "[LIMIT]" in str(error)
    return False


def test_who_is_disabled_is_put_out(room: ReadingRoom) -> None:
    carl = room.log_in(CARL)
    room.command("account", "disable", CARL)
    assert last_line(carl) == b"-ERR [SYS/TEMP] This account was disabled\r\n"


def test_who_changes_a_password_puts_out_whoever_came_by_the_old_one(room: ReadingRoom) -> None:
    with open_account_tools(load(str(room.config))) as tools:
        phone = tools.add_app_password(BOB, "phone", AppPasswordOptions())
        by_phone = imaplib.IMAP4_SSL("127.0.0.1", room.imap, ssl_context=room.trust(), timeout=20)
        by_phone.login(BOB, phone)
        bob = room.open_imap(BOB)
        tools.set_password(BOB, "another one that is long enough")
    assert bob.readline() == b"* BYE [UNAVAILABLE] The password was changed, log in again\r\n"
    assert by_phone.noop()[0] == "OK"
    with open_account_tools(load(str(room.config))) as tools:
        tools.remove_app_password(BOB, "phone")
    assert by_phone.readline() == b"* BYE [UNAVAILABLE] The password was changed, log in again\r\n"
