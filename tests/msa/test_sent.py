"""Sent is not doubled when a program uploads its own copy of what the server filed."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import MailboxId, Role
from posthouse.message.parse import parse_message
from posthouse.msa.sent import SentParts, file_upload
from posthouse.ports.login import Login, SaveSent
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition
from tests.msa.submit_kit import ALICE, LOGIN, MESSAGE, House, changed, expect_submitted, with_header


@pytest.fixture
def house() -> House:
    return House()


async def upload(house: House, octets: bytes, login: Login = LOGIN) -> Added:
    box = await house.store.mailboxes.open_role(ALICE.id, Role.SENT)
    parts = SentParts(house.store.submissions, house.store.messages, house.store.blobs, house.clock, house.log)
    addition = Addition((box.id,), InlineBody(octets), parse_message(octets), flags=frozenset({"\\Seen"}))
    return await file_upload(parts, login, MailboxId(box.id), octets, addition)


async def test_the_programs_own_copy_takes_the_place_of_the_servers(house: House) -> None:
    filed = expect_submitted(await house.submit())
    own = with_header("X-Mozilla-Status: 0001", "Bcc: x@there.example")
    added = await upload(house, own)
    assert await house.list_copies(Role.SENT) == [own]
    assert filed.uid is not None and added.uids[0] > filed.uid


@pytest.mark.parametrize(
    "other",
    [MESSAGE + b"P.S.\r\n", MESSAGE.replace(b"<1@client", b"<2@client"), MESSAGE.replace(b"Message-ID", b"X-Id")],
)
async def test_another_message_is_simply_stored(house: House, other: bytes) -> None:
    await house.submit()
    await upload(house, other)
    assert await house.list_copies(Role.SENT) == [MESSAGE, other]


async def test_an_upload_before_it_was_sent_stays(house: House) -> None:
    await upload(house, MESSAGE)
    assert await house.list_copies(Role.SENT) == [MESSAGE]


async def test_a_password_that_always_wants_the_servers_copy_keeps_it(house: House) -> None:
    await house.submit()
    await upload(house, MESSAGE, changed(LOGIN, save_sent=SaveSent.ALWAYS))
    assert len(await house.list_copies(Role.SENT)) == 2
