"""Web sessions: the same suite for the fake and for directory.db, and what only the file can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.sqlite.directory_admin import open_directory
from posthouse.adapters.sqlite.directory_fsck import check_directory
from posthouse.adapters.sqlite.directory_web import DirectoryWriter, SqliteWebSessions
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import CredentialId
from posthouse.ports.web_sessions import (
    MAX_AGENT,
    MAX_SESSIONS,
    FakeWebSessions,
    NewWebSession,
    SessionUse,
    WebSessionId,
    WebSessions,
)
from tests.adapters.directory_kit import Town, open_town

ALICE, BOB = AccountId(1), AccountId(2)
NEW = NewWebSession(ALICE, CredentialId(7), 0, "password", Instant(1000.0), "192.0.2.7", "Browser/1")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        opened.settle("alice@example.org", "bob@example.org")
        yield opened


@pytest.fixture
def stored(town: Town) -> Iterator[SqliteWebSessions]:
    writer = DirectoryWriter(town.path)
    yield SqliteWebSessions(town.worker, writer)
    writer.close()


@pytest.fixture(params=["fake", "sqlite"])
def sessions(request: pytest.FixtureRequest, stored: SqliteWebSessions) -> WebSessions:
    return FakeWebSessions() if request.param == "fake" else stored


async def test_what_was_begun_is_found_by_its_hash_alone(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"hash", NEW)
    assert sessions.find(b"hash") == begun
    assert (begun.account, begun.credential, begun.means, begun.address, begun.agent) == (
        ALICE,
        7,
        "password",
        "192.0.2.7",
        "Browser/1",
    )
    assert begun.created == begun.last_used == 1000.0
    assert sessions.find(b"other") is None


async def test_sessions_are_listed_the_latest_used_first(sessions: WebSessions) -> None:
    first = await sessions.begin(b"1", NEW)
    second = await sessions.begin(b"2", replace(NEW, at=Instant(1001.0)))
    other = await sessions.begin(b"3", replace(NEW, account=BOB, at=Instant(999.0)))
    assert [row.id for row in sessions.list_for(ALICE)] == [second.id, first.id]
    assert [row.id for row in sessions.list_all(2)] == [second.id, first.id]
    assert sessions.list_all(10)[-1] == other


async def test_one_that_was_ended_is_not_found_and_its_id_does_not_come_back(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"1", NEW)
    assert await sessions.end(begun.id)
    assert not await sessions.end(begun.id)
    assert sessions.find(b"1") is None
    assert (await sessions.begin(b"2", NEW)).id > begun.id


async def test_nobody_ends_the_session_of_another_account(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"1", NEW)
    assert not await sessions.end(begun.id, BOB)
    assert sessions.find(b"1") == begun
    assert await sessions.end(begun.id, ALICE)


async def test_all_but_one_are_ended_or_only_those_of_a_passkey(sessions: WebSessions) -> None:
    kept = await sessions.begin(b"1", NEW)
    await sessions.begin(b"2", replace(NEW, passkey=5))
    await sessions.begin(b"3", NEW)
    await sessions.begin(b"4", replace(NEW, account=BOB))
    assert await sessions.end_all(ALICE, passkey=5) == 1
    assert sessions.find(b"2") is None
    assert await sessions.end_all(ALICE, kept.id) == 1
    assert [sessions.find(key) is None for key in (b"1", b"3", b"4")] == [False, True, False]


async def test_uses_are_noted_in_one_go_and_time_never_goes_back(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"1", NEW)
    await sessions.note_uses([SessionUse(begun.id, Instant(2000.0), "192.0.2.9"), SessionUse(WebSessionId(99), *_LATE)])
    await sessions.note_uses([SessionUse(begun.id, Instant(1500.0), "192.0.2.1")])
    found = sessions.find(b"1")
    assert found is not None
    assert (found.last_used, found.address, found.created) == (2000.0, "192.0.2.9", 1000.0)


_LATE = (Instant(3000.0), "192.0.2.1")


async def test_a_session_can_be_hung_on_another_password(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"1", NEW)
    await sessions.hang_on(begun.id, CredentialId(8))
    assert sessions.find(b"1") == replace(begun, credential=CredentialId(8))


async def test_a_sweep_takes_what_is_too_old_either_way(sessions: WebSessions) -> None:
    await sessions.begin(b"idle", NEW)
    long = await sessions.begin(b"long", replace(NEW, at=Instant(500.0)))
    await sessions.begin(b"good", replace(NEW, at=Instant(5000.0)))
    await sessions.note_uses([SessionUse(long.id, Instant(5000.0), "")])
    assert await sessions.sweep(Instant(2000.0), Instant(600.0)) == 2
    assert [sessions.find(key) is None for key in (b"idle", b"long", b"good")] == [True, True, False]


async def test_an_account_has_only_so_many_and_the_oldest_makes_room(sessions: WebSessions) -> None:
    for number in range(MAX_SESSIONS + 1):
        await sessions.begin(b"%d" % number, replace(NEW, at=Instant(1000.0 + number)))
    assert len(sessions.list_for(ALICE)) == MAX_SESSIONS
    assert sessions.find(b"0") is None
    assert sessions.find(b"%d" % MAX_SESSIONS) is not None


async def test_what_a_browser_calls_itself_is_cut(sessions: WebSessions) -> None:
    begun = await sessions.begin(b"1", replace(NEW, agent="x" * 5000))
    assert len(begun.agent) == MAX_AGENT


async def test_a_session_ended_by_one_worker_is_over_at_the_next_call_of_another(town: Town) -> None:
    here, there = DirectoryWriter(town.path), DirectoryWriter(town.path)
    second = open_directory(town.path)
    try:
        ours, theirs = SqliteWebSessions(town.worker, here), SqliteWebSessions(second, there)
        begun = await ours.begin(b"1", NEW)
        assert theirs.find(b"1") == ours.find(b"1") == begun
        assert await theirs.end(begun.id)
        assert ours.find(b"1") is None
    finally:
        here.close()
        there.close()
        second.close()


async def test_signing_in_does_not_make_workers_forget_the_directory(town: Town, stored: SqliteWebSessions) -> None:
    before = town.worker.generation
    begun = await stored.begin(b"1", NEW)
    await stored.end(begun.id)
    assert town.worker.generation == before


async def test_a_forgotten_account_takes_its_sessions_along(town: Town, stored: SqliteWebSessions) -> None:
    await stored.begin(b"1", NEW)
    town.admin.remove_account(ALICE)
    town.admin.forget_account(ALICE)
    assert stored.find(b"1") is None


async def test_fsck_finds_and_removes_sessions_of_nobody(town: Town, stored: SqliteWebSessions) -> None:
    await stored.begin(b"1", replace(NEW, account=AccountId(99)))
    assert [found.detail for found in check_directory(town.path)] == ["web sessions of no account: 1"]
    assert all(found.is_repaired for found in check_directory(town.path, repair=True))
    assert check_directory(town.path) == []


def test_fsck_reads_a_file_of_an_older_version(town: Town) -> None:
    connection = apsw.Connection(town.path)
    for table in ("web_session", "totp", "recovery_code", "passkey", "used_challenge"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert check_directory(town.path) == []
