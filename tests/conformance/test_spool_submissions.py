"""What every spool does with mail that was handed over from a store."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import AccountId, SubmissionId
from posthouse.ports.spool import Settlement, SpoolError, SubmissionKey
from tests.conformance.test_spool_conformance import House, house, make_new

__all__ = ["house"]

KEY = SubmissionKey(AccountId(7), SubmissionId(3))


async def test_a_submission_is_found_by_its_key_while_it_is_here(house: House) -> None:
    await house.spool.accept(make_new(house))
    new = make_new(house, submission=KEY)
    accepted = await house.spool.accept(new)
    assert accepted.submission == KEY
    await house.restart()
    found = await house.spool.find_submission(KEY)
    assert found is not None
    assert (found.id, found.submission) == (new.id, KEY)
    assert await house.spool.find_submission(KEY._replace(account=AccountId(8))) is None
    await house.spool.settle(Settlement(new.id, remove=True))
    assert await house.spool.find_submission(KEY) is None


async def test_a_submission_is_taken_once(house: House) -> None:
    await house.spool.accept(make_new(house, submission=KEY))
    again, other = make_new(house, submission=KEY), make_new(house)
    futures = [house.spool.accept(again), house.spool.accept(other)]
    with pytest.raises(SpoolError):
        await futures[0]
    assert (await futures[1]).id == other.id
