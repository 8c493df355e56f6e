"""Codes and passkeys: the same suite for the fake and for directory.db."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory_factors import SqliteSecondFactors
from posthouse.adapters.sqlite.directory_web import DirectoryWriter
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.second_factors import (
    MAX_PASSKEYS,
    NEW,
    FakeSecondFactors,
    Passkey,
    PasskeyId,
    PasskeyUse,
    SecondFactors,
)
from tests.adapters.directory_kit import Town, open_town

ALICE, BOB = AccountId(1), AccountId(2)
NOW, LATER = Instant(1000.0), Instant(2000.0)
KEY = Passkey(NEW, ALICE, b"handle", b"public", 0, "Laptop", NOW)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with open_town(tmp_path) as opened:
        opened.settle("alice@example.org", "bob@example.org")
        yield opened


@pytest.fixture
def stored(town: Town) -> Iterator[SqliteSecondFactors]:
    writer = DirectoryWriter(town.path)
    yield SqliteSecondFactors(town.worker, writer)
    writer.close()


@pytest.fixture(params=["fake", "sqlite"])
def factors(request: pytest.FixtureRequest, stored: SqliteSecondFactors) -> SecondFactors:
    return FakeSecondFactors() if request.param == "fake" else stored


async def test_a_secret_is_proposed_anew_until_it_is_on(factors: SecondFactors) -> None:
    assert factors.totp(ALICE) is None
    assert await factors.propose_totp(ALICE, b"first", NOW)
    assert await factors.propose_totp(ALICE, b"second", LATER)
    totp = factors.totp(ALICE)
    assert totp is not None
    assert (totp.secret, totp.is_on, totp.created) == (b"second", False, LATER)
    assert await factors.switch_on(ALICE, 5, [b"r1", b"r2"])
    assert not await factors.propose_totp(ALICE, b"third", LATER)
    assert not await factors.switch_on(ALICE, 6, [])
    totp = factors.totp(ALICE)
    assert totp is not None
    assert (totp.secret, totp.is_on) == (b"second", True)
    assert factors.count_recovery_codes(ALICE) == 2
    assert factors.totp(BOB) is None


async def test_switching_on_what_was_not_proposed_does_nothing(factors: SecondFactors) -> None:
    assert not await factors.switch_on(ALICE, 5, [b"r1"])
    assert factors.count_recovery_codes(ALICE) == 0


async def test_steps_only_go_up(factors: SecondFactors) -> None:
    await factors.propose_totp(ALICE, b"secret", NOW)
    await factors.switch_on(ALICE, 5, [])
    assert not await factors.accept_step(ALICE, 5)
    assert await factors.accept_step(ALICE, 7)
    assert not await factors.accept_step(ALICE, 6)
    assert not await factors.accept_step(BOB, 8)


async def test_tries_are_counted_before_they_are_looked_at(factors: SecondFactors) -> None:
    await factors.propose_totp(ALICE, b"secret", NOW)
    await factors.switch_on(ALICE, 5, [b"r1"])
    assert [await factors.begin_try(ALICE, NOW) for _ in range(6)] == [0.0] * 5 + [1.0]
    assert await factors.begin_try(ALICE, Instant(NOW + 1)) == 0.0
    assert await factors.begin_try(ALICE, Instant(NOW + 1)) == 2.0
    assert await factors.accept_step(ALICE, 6)
    assert await factors.begin_try(ALICE, Instant(NOW + 1)) == 0.0
    assert await factors.begin_try(BOB, NOW) == 0.0


async def test_proposing_again_does_not_give_new_tries(factors: SecondFactors) -> None:
    await factors.propose_totp(ALICE, b"secret", NOW)
    for _ in range(6):
        await factors.begin_try(ALICE, NOW)
    await factors.propose_totp(ALICE, b"other", NOW)
    assert await factors.begin_try(ALICE, NOW) > 0


async def test_a_recovery_code_is_gone_once_used(factors: SecondFactors) -> None:
    await factors.propose_totp(ALICE, b"secret", NOW)
    await factors.switch_on(ALICE, 5, [b"r1", b"r2"])
    for _ in range(5):
        await factors.begin_try(ALICE, NOW)
    assert not await factors.accept_recovery(BOB, b"r1")
    assert await factors.accept_recovery(ALICE, b"r1")
    assert not await factors.accept_recovery(ALICE, b"r1")
    assert factors.count_recovery_codes(ALICE) == 1
    assert await factors.begin_try(ALICE, NOW) == 0.0


async def test_switching_off_takes_recovery_codes_along(factors: SecondFactors) -> None:
    await factors.propose_totp(ALICE, b"secret", NOW)
    assert not await factors.switch_off(BOB)
    await factors.switch_on(ALICE, 5, [b"r1"])
    assert await factors.switch_off(ALICE)
    assert not await factors.switch_off(ALICE)
    assert factors.totp(ALICE) is None
    assert factors.count_recovery_codes(ALICE) == 0


async def test_passkeys_are_found_by_their_handle(factors: SecondFactors) -> None:
    made = await factors.add_passkey(KEY)
    assert made == replace(KEY, id=made.id)
    assert factors.find_passkey(b"handle") == made
    assert factors.find_passkey(b"other") is None
    assert list(factors.passkeys(ALICE)) == [made]
    assert list(factors.passkeys(BOB)) == []


async def test_one_passkey_belongs_to_one_account(factors: SecondFactors) -> None:
    await factors.add_passkey(KEY)
    with pytest.raises(ValueError, match="already"):
        await factors.add_passkey(replace(KEY, account=BOB))


async def test_an_account_has_only_so_many(factors: SecondFactors) -> None:
    for number in range(MAX_PASSKEYS):
        await factors.add_passkey(replace(KEY, handle=b"%d" % number))
    with pytest.raises(ValueError, match=str(MAX_PASSKEYS)):
        await factors.add_passkey(replace(KEY, handle=b"one more"))


async def test_only_its_owner_removes_a_passkey(factors: SecondFactors) -> None:
    made = await factors.add_passkey(KEY)
    assert not await factors.remove_passkey(BOB, made.id)
    assert await factors.remove_passkey(ALICE, made.id)
    assert not await factors.remove_passkey(ALICE, made.id)
    assert (await factors.add_passkey(KEY)).id > made.id


async def test_a_use_is_noted_and_its_challenge_counts_once(factors: SecondFactors) -> None:
    made = await factors.add_passkey(KEY)
    use = PasskeyUse(made.id, 0, NOW, b"challenge", LATER)
    assert await factors.use_passkey(use)
    assert not await factors.use_passkey(use)
    assert await factors.use_passkey(replace(use, challenge=b"other"))
    found = factors.find_passkey(b"handle")
    assert found is not None
    assert found.last_used == NOW
    assert not await factors.use_passkey(replace(use, passkey=PasskeyId(99), challenge=b"third"))


async def test_a_counter_must_go_up_where_there_is_one(factors: SecondFactors) -> None:
    made = await factors.add_passkey(replace(KEY, counter=5))
    use = PasskeyUse(made.id, 5, NOW, b"1", LATER)
    assert not await factors.use_passkey(use)
    assert await factors.use_passkey(replace(use, counter=6))
    assert not await factors.use_passkey(replace(use, counter=0, challenge=b"2"))


async def test_challenges_are_forgotten_when_they_are_over(factors: SecondFactors) -> None:
    assert await factors.use_challenge(b"1", NOW, LATER)
    assert not await factors.use_challenge(b"1", Instant(LATER - 1), LATER)
    assert await factors.use_challenge(b"1", LATER, Instant(LATER + 1))


async def test_a_forgotten_account_takes_its_factors_along(town: Town, stored: SqliteSecondFactors) -> None:
    await stored.propose_totp(ALICE, b"secret", NOW)
    await stored.switch_on(ALICE, 5, [b"r1"])
    await stored.add_passkey(KEY)
    town.admin.remove_account(ALICE)
    assert not await stored.propose_totp(ALICE, b"secret", NOW)
    town.admin.forget_account(ALICE)
    assert stored.totp(ALICE) is None
    assert stored.count_recovery_codes(ALICE) == 0
    assert list(stored.passkeys(ALICE)) == []
