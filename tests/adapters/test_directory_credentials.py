"""Credentials: the same suite for the fake and for directory.db, and what only the file can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.message.address import parse_address
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import (
    MAX_PLACES,
    NEW,
    Credential,
    CredentialId,
    CredentialKind,
    Credentials,
    FakeCredentials,
    ScramVerifier,
    Use,
)
from posthouse.ports.login import SaveSent, Scope
from tests.adapters.directory_kit import Town, open_town

ALICE, BOB = AccountId(1), AccountId(2)
MAIN = Credential(NEW, ALICE, CredentialKind.MAIN, "$argon2id$x", created=Instant(5.0))
PHONE = Credential(
    NEW,
    ALICE,
    CredentialKind.APP,
    "hmac-sha256$00",
    "Phone",
    frozenset({Scope.READ}),
    ScramVerifier(b"salt", 4096, b"stored", b"server"),
    ScramVerifier(b"tlas", 4096, b"s", b"t"),
    Instant(6.0),
    None,
    SaveSent.NEVER,
    False,
)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        opened.settle("alice@example.org", "bob@example.org")
        yield opened


@pytest.fixture
def stored(town: Town) -> Iterator[SqliteCredentials]:
    credentials = SqliteCredentials(town.worker, town.path)
    yield credentials
    credentials.close()


@pytest.fixture(params=["fake", "sqlite"])
def credentials(request: pytest.FixtureRequest, stored: SqliteCredentials) -> Credentials:
    return FakeCredentials() if request.param == "fake" else stored


async def test_what_is_stored_comes_back_whole_with_the_main_password_first(credentials: Credentials) -> None:
    phone = await credentials.add(PHONE)
    main = await credentials.add(MAIN)
    assert main.id > phone.id
    assert list(credentials.list_for(ALICE)) == [replace(MAIN, id=main.id), replace(PHONE, id=phone.id)]
    assert list(credentials.list_for(BOB)) == []


async def test_a_new_main_password_takes_the_place_of_the_old_one(credentials: Credentials) -> None:
    first = await credentials.add(MAIN)
    second = await credentials.add(replace(MAIN, secret="$argon2id$y"))
    assert [row.secret for row in credentials.list_for(ALICE)] == ["$argon2id$y"]
    assert second.id > first.id


async def test_names_are_unique_within_an_account(credentials: Credentials) -> None:
    await credentials.add(PHONE)
    with pytest.raises(ValueError, match="Phone"):
        await credentials.add(PHONE)
    await credentials.add(replace(PHONE, account=BOB))
    assert len(credentials.list_for(ALICE)) == 1


async def test_only_ones_own_credentials_are_removed(credentials: Credentials) -> None:
    phone = await credentials.add(PHONE)
    assert not await credentials.remove(BOB, phone.id)
    assert await credentials.remove(ALICE, phone.id)
    assert not await credentials.remove(ALICE, phone.id)
    assert list(credentials.list_for(ALICE)) == []
    assert (await credentials.add(PHONE)).id > phone.id


async def test_places_and_their_times_are_remembered_and_never_go_back(credentials: Credentials) -> None:
    phone = await credentials.add(PHONE)
    uses = [(phone.id, "192.0.2.0/24", 100.0), (CredentialId(0), "", 300.0), (phone.id, "192.0.2.0/24", 50.0)]
    await credentials.note_uses(Use(ALICE, number, place, Instant(at)) for number, place, at in uses)
    assert credentials.last_success(ALICE, "192.0.2.0/24") == 100.0
    assert credentials.last_success(ALICE, "") is None
    assert credentials.last_success(BOB, "192.0.2.0/24") is None


async def test_only_the_latest_places_are_kept(credentials: Credentials) -> None:
    await credentials.note_uses(
        Use(ALICE, CredentialId(0), f"10.0.{number}.0/24", Instant(float(number + 1)))
        for number in range(MAX_PLACES + 5)
    )
    assert credentials.last_success(ALICE, "10.0.4.0/24") is None
    assert credentials.last_success(ALICE, "10.0.5.0/24") == 6.0


async def test_the_servers_secret_is_made_once(town: Town, stored: SqliteCredentials) -> None:
    other = SqliteCredentials(town.admin.directory, town.path)
    assert stored.server_secret() == other.server_secret()
    assert len(stored.server_secret()) == 32
    other.close()


async def test_a_changed_password_is_seen_by_other_workers_at_once(town: Town, stored: SqliteCredentials) -> None:
    other = SqliteCredentials(town.admin.directory, town.path)
    assert list(stored.list_for(ALICE)) == []
    main = await other.add(MAIN)
    assert [row.id for row in stored.list_for(ALICE)] == [main.id]
    other.close()


async def test_a_login_does_not_make_workers_forget(town: Town, stored: SqliteCredentials) -> None:
    phone = await stored.add(PHONE)
    before = town.worker.generation
    await stored.note_uses([Use(ALICE, phone.id, "192.0.2.0/24", Instant(9.0))])
    assert town.worker.generation == before
    fresh = SqliteCredentials(town.admin.directory, town.path)
    assert fresh.list_for(ALICE)[0].last_used == 9.0
    fresh.close()


async def test_removed_accounts_have_no_credentials_until_they_come_back(town: Town, stored: SqliteCredentials) -> None:
    await stored.add(MAIN)
    town.admin.remove_account(ALICE)
    assert list(stored.list_for(ALICE)) == []
    with pytest.raises(ValueError, match="no such account"):
        await stored.add(PHONE)
    town.admin.undelete_account(parse_address("alice@example.org"))
    assert len(stored.list_for(ALICE)) == 1
    town.admin.remove_account(ALICE)
    town.admin.forget_account(ALICE)
    assert town.worker.query("SELECT count(*) FROM credential") == [(0,)]
