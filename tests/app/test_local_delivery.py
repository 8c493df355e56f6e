"""Mail into mailboxes, by a real server: accounts, aliases, tags, quotas, LMTP; read from the store beside it."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import Iterator

import pytest

from posthouse.adapters.clock import SystemClock
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.config import load
from posthouse.message.mailbox import MAX_UID, UidRange
from posthouse.ports.store import Fields
from tests.crash.server_under_load import Server, free_port, wait_until


class PostOffice(Server):
    """ann, bob (quota 20 K), carl (disabled); `team` is ann and bob, `away` leaves, `@catch.example` is ann."""

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.lmtp_port = free_port()
        self.config.write_text(
            f'postmaster = "ann@ours.example"\n{self.config.read_text()}'
            f'[[listener]]\nservice = "lmtp"\nbind = "127.0.0.1:{self.lmtp_port}"\n'
        )

    def fill(self) -> None:
        for words in (
            "domain add ours.example",
            "domain add catch.example",
            "domain add same.example --alias-of ours.example",
            "account add ann@ours.example",
            "account add bob@ours.example --quota 20K",
            "account add carl@ours.example",
            "account disable carl@ours.example",
            "alias add team@ours.example ann@ours.example bob@ours.example",
            "alias add away@ours.example someone@far.example",
            "alias add @catch.example ann@ours.example",
        ):
            self.must(words)

    def must(self, words: str) -> str:
        return self.command(*words.split())

    def inbox(self, name: str, mailbox: str = "INBOX") -> list[bytes]:
        return asyncio.run(self._read(f"{name}@ours.example", mailbox))

    async def _read(self, login: str, mailbox: str) -> list[bytes]:
        settings = load(str(self.config))
        directory = open_for_worker(settings)
        store = await open_store(settings, directory, SystemClock())
        try:
            account = directory.find(login)
            assert account is not None
            boxes = await store.mailboxes.list_all(account.id)
            box = next((each for each in boxes if each.name == mailbox), None)
            if box is None:
                return []
            rows = await store.messages.load(account.id, box.id, (UidRange(1, MAX_UID),), Fields.NONE)
            found = await store.blobs.read_many(account.id, [row.email for row in rows])
            return [octets for octets in found if octets is not None]
        finally:
            await store.close()
            directory.close()

    def wait_for(self, name: str, token: str, mailbox: str = "INBOX") -> bytes:
        """The message with this token in its subject."""
        wanted = f"Subject: {token}\r\n".encode()
        wait_until(lambda: any(wanted in each for each in self.inbox(name, mailbox)), 10, f"{name} has {token}")
        return next(each for each in self.inbox(name, mailbox) if wanted in each)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostOffice]:
    server = PostOffice(tmp_path_factory.mktemp("office"), workers=1)
    try:
        server.fill()
        server.start()
        yield server
    finally:
        server.close()


def send(office: PostOffice, token: str, *recipients: str, octets: int = 100) -> dict[str, tuple[int, bytes]]:
    """What was refused."""
    text = f"Subject: {token}\r\n\r\n" + ("x" * 70 + "\r\n") * (octets // 72 + 1)
    with smtplib.SMTP("127.0.0.1", office.port, timeout=20) as client:
        return client.sendmail("x@far.example", recipients, text)


def test_mail_for_an_account_is_in_its_inbox(office: PostOffice) -> None:
    assert send(office, "plain", "ann@ours.example") == {}
    found = office.wait_for("ann", "plain")
    assert found.startswith(b"Return-Path: <x@far.example>\r\nDelivered-To: ann@ours.example\r\nReceived: from ")


def test_the_trace_reaches_to_the_mailbox(office: PostOffice) -> None:
    send(office, "traced", "ann@ours.example")
    office.wait_for("ann", "traced")
    wait_until(lambda: "ann@ours.example/INBOX" in office.must("trace ann@ours.example"), 10, "the trace is written")


def test_each_target_of_an_alias_has_it_and_knows_the_original(office: PostOffice) -> None:
    send(office, "alias", "team@ours.example")
    for name in ("ann", "bob"):
        assert b"\r\nX-Original-To: team@ours.example\r\n" in office.wait_for(name, "alias")


def test_a_forward_leaves(office: PostOffice) -> None:
    text = "Subject: forward\r\nX-Token: forwardtoken\r\n\r\nx\r\n"
    with smtplib.SMTP("127.0.0.1", office.port, timeout=20) as client:
        client.sendmail("x@else.example", ["away@ours.example"], text)
    wait_until(lambda: "forwardtoken" in office.sink_file.read_text(), 20, "the next host has it")


def test_a_catch_all_a_domain_alias_and_a_tag_lead_to_the_account(office: PostOffice) -> None:
    send(office, "caught", "whoever@catch.example")
    send(office, "same", "Ann@same.example")
    send(office, "tagged", "ann+shop@ours.example")
    send(office, "role", "abuse@ours.example", "postmaster")
    for token in ("caught", "same", "tagged", "role"):
        office.wait_for("ann", token)


def test_a_disabled_account_gets_its_mail(office: PostOffice) -> None:
    send(office, "disabled", "carl@ours.example")
    office.wait_for("carl", "disabled")


def test_who_does_not_exist_is_refused_at_once(office: PostOffice) -> None:
    refused = send(office, "unknown", "ann@ours.example", "nobody@ours.example")
    assert list(refused) == ["nobody@ours.example"]
    assert refused["nobody@ours.example"][0] == 550


def test_a_full_mailbox_is_refused_at_rcpt_and_what_does_not_fit_goes_back(office: PostOffice) -> None:
    office.must("account add dora@ours.example --quota 20K")
    send(office, "fits", "dora@ours.example", octets=15_000)
    office.wait_for("dora", "fits")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(office, "announced", "dora@ours.example", octets=10_000)
    assert refused.value.recipients["dora@ours.example"][0] == 452
    with smtplib.SMTP("127.0.0.1", office.port, timeout=20) as client:
        client.helo("client.example")  # its size is not announced
        client.sendmail(
            "ann@ours.example", ["dora@ours.example"], "Subject: surprise\r\n\r\n" + "x" * 900 + "\r\n" * 9_000
        )
    returned = office.wait_for("ann", "Undelivered mail returned to sender")
    assert b"5.2.2" in returned
    assert not any(b"Subject: surprise" in each for each in office.inbox("dora"))


def test_a_new_account_is_known_at_once_and_a_removed_one_is_not(office: PostOffice) -> None:
    office.must("account add eve@ours.example")
    assert send(office, "new", "eve@ours.example") == {}
    office.wait_for("eve", "new")
    office.must("account remove eve@ours.example")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(office, "removed", "eve@ours.example")


def test_a_large_message_comes_out_as_it_went_in(office: PostOffice) -> None:
    send(office, "large", "ann@ours.example", octets=3_000_000)
    assert office.wait_for("ann", "large").endswith(b"x" * 70 + b"\r\n")
    assert len(office.wait_for("ann", "large")) > 3_000_000


class Lmtp:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._lines = self._socket.makefile("rb")
        self.read()
        self.say("LHLO client.example")

    def read(self) -> str:
        while (line := self._lines.readline().decode())[3:4] == "-":
            pass
        return line.rstrip()

    def say(self, line: str) -> str:
        self._socket.sendall(f"{line}\r\n".encode())
        return self.read()

    def send(self, token: str, *recipients: str) -> list[str]:
        assert self.say("MAIL FROM:<x@far.example>").startswith("250")
        for recipient in recipients:
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")
        self._socket.sendall(f"Subject: {token}\r\n\r\nhello\r\n.\r\n".encode())
        return [self.read() for _ in recipients]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def test_lmtp_answers_each_recipient_when_it_is_in_the_mailbox(office: PostOffice) -> None:
    client = Lmtp(office.lmtp_port)
    try:
        replies = client.send("lmtp", "ann@ours.example", "team@ours.example", "carl@ours.example")
    finally:
        client.close()
    assert [reply[:9] for reply in replies] == ["250 2.0.0"] * 3
    for name in ("ann", "bob", "carl"):
        assert sum(b"Subject: lmtp\r\n" in each for each in office.inbox(name)) == 1
    assert all("lmtp" not in str(entry) for entry in office.queue())


def test_lmtp_queues_only_what_leaves(office: PostOffice) -> None:
    client = Lmtp(office.lmtp_port)
    try:
        replies = client.send("lmtpaway", "ann@ours.example", "away@ours.example")
    finally:
        client.close()
    assert replies[0].startswith("250 2.0.0 Delivered")
    assert "queued as" in replies[1]
