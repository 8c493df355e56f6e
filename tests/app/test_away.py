"""By a real server: who is away is answered for once, who forwards gets a copy or none, what was snoozed comes back."""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from posthouse.access.jmap.snooze_moves import SNOOZE_KIND, Snooze, put_away
from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.config import load
from posthouse.message.mailbox import MAX_UID, AccountId, Role, UidRange
from posthouse.ports.records import VACATION_KIND, RecordEdit
from posthouse.ports.store import Fields
from tests.app.test_local_delivery import PostOffice
from tests.crash.server_under_load import wait_until


class Beside:
    """The store of a running server, used by another process."""

    def __init__(self, office: PostOffice) -> None:
        self.office = office

    def do(self, login: str, work: Callable[[SqliteStore, AccountId], Awaitable[None]]) -> None:
        asyncio.run(self._do(login, work))

    async def _do(self, login: str, work: Callable[[SqliteStore, AccountId], Awaitable[None]]) -> None:
        settings = load(str(self.office.config))
        directory = open_for_worker(settings)
        store = await open_store(settings, directory, SystemClock())
        try:
            account = directory.find(login)
            assert account is not None
            await work(store, account.id)
        finally:
            await store.close()
            directory.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostOffice]:
    server = PostOffice(tmp_path_factory.mktemp("away"), workers=2)
    try:
        server.fill()
        server.start()
        yield server
    finally:
        server.close()


def write(office: PostOffice, token: str, sender: str, to: str) -> None:
    text = f"From: {sender}\r\nTo: {to}\r\nSubject: {token}\r\nMessage-ID: <{token}@far>\r\n\r\nHello\r\n"
    with smtplib.SMTP("127.0.0.1", office.port, timeout=20) as client:
        client.sendmail(sender, [to], text)


def test_who_is_away_is_answered_for_once(office: PostOffice) -> None:
    async def go_away(store: SqliteStore, account: AccountId) -> None:
        value = {"isEnabled": True, "textBody": "I am away."}
        await store.records.edit(account, VACATION_KIND, [RecordEdit(value)])

    Beside(office).do("ann@ours.example", go_away)
    tries = 0

    def is_answered() -> bool:
        nonlocal tries
        tries += 1
        write(office, f"away{tries}", "bob@ours.example", "ann@ours.example")
        return any(b"I am away." in each for each in office.inbox("bob"))

    wait_until(is_answered, 30, "bob has an answer")
    write(office, "away-last", "bob@ours.example", "ann@ours.example")
    office.wait_for("ann", "away-last")
    answers = [each for each in office.inbox("bob") if b"I am away." in each]
    assert len(answers) == 1
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in answers[0]
    assert answers[0].startswith(b"Return-Path: <>\r\n")


def test_a_running_server_sees_that_an_account_forwards(office: PostOffice) -> None:
    office.must("account forward carl@ours.example bob@ours.example --copy")
    write(office, "forwarded", "x@far.example", "carl@ours.example")
    assert b"\r\nX-Original-To: carl@ours.example\r\n" in office.wait_for("bob", "forwarded")
    office.wait_for("carl", "forwarded")
    office.must("account forward carl@ours.example --off")
    write(office, "stays", "x@far.example", "carl@ours.example")
    office.wait_for("carl", "stays")
    assert not any(b"Subject: stays\r\n" in each for each in office.inbox("bob"))


def test_what_was_snoozed_comes_back_at_its_time(office: PostOffice) -> None:
    write(office, "snoozed", "x@far.example", "bob@ours.example")
    office.wait_for("bob", "snoozed")

    async def snooze(store: SqliteStore, account: AccountId) -> None:
        inbox = await store.mailboxes.open_role(account, Role.INBOX)
        rows = await store.messages.load(account, inbox.id, (UidRange(1, MAX_UID),), Fields.DATES)
        record = Snooze(rows[-1].email, (inbox.id,), "2027-01-01T00:00:00Z").as_value()
        await put_away(store.store, account, rows[-1].email)
        await store.records.edit(account, SNOOZE_KIND, [RecordEdit(record, due=time.time() + 2)])

    Beside(office).do("bob@ours.example", snooze)
    assert any(b"Subject: snoozed\r\n" in each for each in office.inbox("bob", "Snoozed"))
    office.wait_for("bob", "snoozed")
    assert office.inbox("bob", "Snoozed") == []
