"""What every message store gives IMAP's FETCH and POP3: rows of columns, and names that a former server gave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.message.mailbox import MailboxId
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import NoSuchMailbox, WireColumn
from posthouse.ports.store_wire import MAX_WIRE_OCTETS
from tests.conformance.store_kit import ALICE, BOB, EVERY, PREFIX, Office, first_uid, make_addition, uid_set

NUL_BODY = InlineBody(b"Subject: x\r\n\r\n\x00\xff\xfe\x00 end\r\n")


async def test_a_row_has_its_uid_and_the_columns_in_the_order_asked_for(office: Office) -> None:
    inbox, addition = await office.inbox(), make_addition(subject="one")
    (added,) = await office.add(addition=addition)
    message, columns = addition.message, list(WireColumn)
    ((uid, *values),) = await office.store.messages.wire(ALICE, inbox, EVERY, columns)
    found = dict(zip(columns, values, strict=True))
    octets = PREFIX + (addition.body.inline or b"")
    saved = found.pop(WireColumn.SAVED)
    assert (uid, saved) == (added.uids[0], round(office.clock.now() * 1e6))
    assert found == {
        WireColumn.EMAIL: added.email,
        WireColumn.THREAD: added.thread,
        WireColumn.SIZE: len(octets),
        WireColumn.PREFIX_SIZE: len(PREFIX),
        WireColumn.HEADER_SIZE: message.header_size,
        WireColumn.RECEIVED: 1_700_000_100_250_000,
        WireColumn.ZONE: 60,
        WireColumn.ENVELOPE: message.envelope,
        WireColumn.STRUCTURE: message.bodystructure,
        WireColumn.HEAD: PREFIX + message.head,
        WireColumn.PREVIEW: message.preview,
        WireColumn.OCTETS: octets,
    }


@pytest.mark.parametrize("column", [WireColumn.SIZE, WireColumn.OCTETS])
async def test_rows_come_by_uid_and_those_that_are_gone_do_not_come_again(office: Office, column: WireColumn) -> None:
    inbox = await office.inbox()
    await office.add(count=6)
    wire = office.store.messages.wire
    assert [row[0] for row in await wire(ALICE, inbox, uid_set(2, 3, 5, 99), [column])] == [2, 3, 5]
    await office.flag(inbox, uid_set(3), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    await office.add()
    assert [row[0] for row in await wire(ALICE, inbox, EVERY, [column])] == [1, 2, 4, 5, 6, 7]
    again = await wire(ALICE, inbox, EVERY, [column])
    assert again == await wire(ALICE, inbox, EVERY, [column])


async def test_an_email_that_is_twice_in_a_mailbox_has_two_rows(office: Office) -> None:
    inbox = await office.inbox()
    (added,) = await office.add()
    await office.store.messages.copy(ALICE, inbox, EVERY, ALICE, inbox)
    rows = await office.store.messages.wire(ALICE, inbox, EVERY, [WireColumn.EMAIL])
    assert rows == [(1, added.email), (2, added.email)]


async def test_octets_come_as_they_are_and_long_ones_not_at_all(office: Office) -> None:
    inbox = await office.inbox()
    odd = make_addition()
    await office.add(addition=replace(odd, body=NUL_BODY, prefix=b""))
    await office.add(addition=replace(odd, body=InlineBody(b"x" * MAX_WIRE_OCTETS)))
    rows = await office.store.messages.wire(ALICE, inbox, EVERY, [WireColumn.OCTETS])
    assert rows == [(1, NUL_BODY.inline), (2, None)]


async def test_rows_of_a_mailbox_that_is_not_there_are_refused(office: Office) -> None:
    with pytest.raises(NoSuchMailbox):
        await office.store.messages.wire(ALICE, MailboxId(99), EVERY, [WireColumn.SIZE])
    with pytest.raises(NoSuchMailbox):
        await office.store.messages.uidls(ALICE, MailboxId(99))


async def test_two_accounts_have_rows_of_their_own(office: Office) -> None:
    await office.add(addition=make_addition(subject="hers"))
    await office.add(addition=make_addition(subject="a longer one of his"), account=BOB)
    wire, columns = office.store.messages.wire, [WireColumn.ENVELOPE]
    hers = await wire(ALICE, await office.inbox(), EVERY, columns)
    his = await wire(BOB, await office.inbox(BOB), EVERY, columns)
    assert hers != his


async def test_the_name_a_former_server_gave_stays_with_its_placement_alone(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    messages = office.store.messages
    named = await office.add(addition=make_addition(uidl="000012ab"))
    other = await office.add()
    assert await messages.uidls(ALICE, inbox) == {first_uid(named): "000012ab"}
    await messages.copy(ALICE, inbox, EVERY, ALICE, work)
    assert await messages.uidls(ALICE, work) == {}
    await messages.move(ALICE, inbox, uid_set(first_uid(named)), ALICE, work)
    assert await messages.uidls(ALICE, inbox) == {}
    assert await office.uids(inbox) == [first_uid(other)]
