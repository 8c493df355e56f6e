"""fsck of the store: every kind of damage is found, mended where that is possible, and no mail goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.fsck import Finding
from posthouse.adapters.sqlite.store_fsck import check_store_shard, list_store_shards
from posthouse.adapters.sqlite.store_gate import ShardGate
from posthouse.message.mailbox import MailboxId, ModSeq, Role, UidRange
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition, FlagEdit, FlagMode
from tests.manage.transfer_kit import ALICE, Depot, Kept, make_letter, open_depot, wire

SHARD = 1  # ALICE's
LARGE = wire(make_letter(99, "large\n" * 20_000))


async def fill(depot: Depot) -> None:
    """Three in INBOX (one large, one expunged later), one in Work below Old, one answered."""
    messages, store = depot.store.messages, depot.store
    old = await store.mailboxes.create(ALICE, "Old")
    work = await store.mailboxes.create(ALICE, "Work", old.id)
    additions = [make_addition(Role.INBOX, number) for number in range(3)]
    additions += [make_addition(work.id, 3, "Project"), make_addition(work.id, 4)]
    await messages.add(ALICE, additions)
    writer = messages.open_body(ALICE)
    await writer.write(LARGE)
    body = await writer.finish()
    await messages.add(ALICE, [Addition((Role.INBOX,), body, parse_message(LARGE))])
    inbox = await store.mailboxes.open_role(ALICE, Role.INBOX)
    first = (UidRange(1, 1),)
    await messages.set_flags(ALICE, inbox.id, first, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
    await messages.expunge(ALICE, inbox.id)


def make_addition(where: MailboxId | Role, number: int, *flags: str) -> Addition:
    octets = wire(make_letter(number))
    return Addition((where,), InlineBody(octets), parse_message(octets), flags=frozenset(flags))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Path]:
    async with open_depot(tmp_path) as depot:
        await fill(depot)
    yield tmp_path / "store"


def damage(place: Path, *statements: str) -> None:
    connection = apsw.Connection(str(place / f"{SHARD}.db"))
    for sql in statements:
        connection.execute(sql)
    connection.close()


def check(place: Path, *, repair: bool = False, deep: bool = False) -> list[Finding]:
    return check_store_shard(str(place), SHARD, Files(), repair=repair, deep=deep)


async def all_mail(place: Path) -> dict[str, list[Kept]]:
    async with open_depot(place.parent) as depot:
        return await depot.everything()


def count_rows(place: Path) -> tuple[object, object]:
    connection = apsw.Connection(str(place / f"{SHARD}.db"))
    found = connection.execute("SELECT count(*) FROM email").get, connection.execute("SELECT count(*) FROM body").get
    connection.close()
    return found


DAMAGES = {
    "an account's row is lost": ["DELETE FROM account"],
    "a mailbox's row is lost": ["DELETE FROM mailbox WHERE name = 'Work'"],
    "INBOX is lost": ["DELETE FROM mailbox WHERE role = 'inbox'"],
    "INBOX has lost its role": ["UPDATE mailbox SET role = NULL WHERE role = 'inbox'"],
    "a parent is lost": ["DELETE FROM mailbox WHERE name = 'Old'"],
    "mailboxes go in a circle": ["UPDATE mailbox SET parent = 5 - mailbox WHERE mailbox IN (2, 3)"],
    "a keyword has no name": ["DELETE FROM keyword"],
    "an email with a placement is marked as gone": ["UPDATE email SET gone = 1 WHERE email = 2"],
    "a placement is lost": ["DELETE FROM placement WHERE email = 2"],
    "all placements are lost": ["DELETE FROM placement"],
    "a counter of a mailbox is wrong": ["UPDATE mailbox SET total = total + 1 WHERE role = 'inbox'"],
    "rows beside mailboxes belong to none": [
        "INSERT INTO sharing VALUES (1, 99, 2, 0, 'lr')",
        "INSERT INTO annotation VALUES (1, 99, 0, '/shared/comment', x'00')",
        "INSERT INTO annotation VALUES (99, 0, 0, '/shared/comment', x'00')",
        "INSERT INTO subscribed_name VALUES (99, 'Gone')",
        "INSERT INTO uidl VALUES (1, 1, 99, 'name')",
        "INSERT INTO record VALUES (99, 'note', 1, x'7b7d', 1, 1, NULL)",
        "INSERT INTO answered VALUES (99, x'00', 1)",
    ],
    "a record cannot be read": ["INSERT INTO record VALUES (1, 'note', 1, x'7b', 1, 1, NULL)"],
    "an account is older than its records": ["INSERT INTO record VALUES (1, 'note', 1, x'7b7d', 999, 999, NULL)"],
    "octets of a mailbox are wrong": ["UPDATE mailbox SET octets = 0"],
    "the unseen are wrong": ["UPDATE mailbox SET unseen = 0"],
    "the size of an email is wrong": ["UPDATE email SET size = 1 WHERE email = 2"],
    "the usage is wrong": ["UPDATE account SET octets = octets - 1"],
    "uidnext is too low": ["UPDATE mailbox SET uidnext = 2"],
    "a mailbox is older than its placements": ["UPDATE mailbox SET modseq = 0"],
    "an account is older than its changes": ["UPDATE account SET modseq = 1"],
    "an email id would come again": ["UPDATE account SET next_email = 2"],
    "a mailbox id would come again": ["UPDATE account SET next_mailbox = 2"],
    "a UIDVALIDITY would come again": ["UPDATE account SET next_uidvalidity = 1"],
    "a submission id would come again": [
        "INSERT INTO submission VALUES (1, 9, 'final', 0, 0, 0, 1, NULL, 0, x'', '', '', 0)",
    ],
    "a submission that is over keeps its text": [
        "INSERT INTO submission VALUES (1, 1, 'canceled', 0, 0, 0, 1, NULL, 1, x'', '', '', 0)",
        "UPDATE account SET next_submission = 2",
    ],
    "a recipient of nothing": ["INSERT INTO submission_recipient VALUES (1, 7, 0, 'a@b', '', '', 0, '')"],
    "a key of nothing": ["INSERT INTO submission_key VALUES (1, x'00', 7, 0)"],
    "a reader has seen nothing": ["INSERT INTO seen VALUES (1, 1, 2, 500)"],
    "a reference to no thread": ["INSERT INTO thread_ref VALUES (1, 5, 5, 500)"],
    "a change upside down": ["INSERT INTO change VALUES (1, 2, 1, 1, 9, 3)"],
    "a body nobody refers to": [f"INSERT INTO body VALUES (70, x'{sha256(b'').hexdigest()}', 0, NULL, x'')"],
    "a body is marked as unused": ["UPDATE body SET unreferenced = 1 WHERE body = 2"],
}


async def test_a_whole_store_has_nothing_to_tell(place: Path) -> None:
    assert list_store_shards(str(place)) == [0, 1]
    assert check(place, deep=True) == []


@pytest.mark.parametrize("statements", DAMAGES.values(), ids=DAMAGES)
async def test_damage_is_found_and_mended_and_no_mail_goes(place: Path, statements: list[str]) -> None:
    before = await all_mail(place)
    damage(place, *statements)
    rows = count_rows(place)
    found = await asyncio.to_thread(check, place)
    assert found
    assert not any(finding.is_repaired for finding in found)
    assert all(finding.place == "store/1" for finding in found)
    mended = await asyncio.to_thread(check, place, repair=True)
    assert all(finding.is_repaired for finding in mended), mended
    assert await asyncio.to_thread(check, place, deep=True) == []
    assert count_rows(place) == rows
    after = await all_mail(place)
    octets = sorted(kept.octets for mail in after.values() for kept in mail)
    assert octets == sorted(kept.octets for mail in before.values() for kept in mail)


async def test_what_was_in_no_mailbox_is_found_in_recovered(place: Path) -> None:
    damage(place, "DELETE FROM placement WHERE email = 2")
    check(place, repair=True)
    assert [kept.octets for kept in (await all_mail(place))["Recovered"]] == [wire(make_letter(1))]


async def test_mail_can_be_added_to_a_mended_store(place: Path) -> None:
    damage(place, "DELETE FROM account", "UPDATE mailbox SET uidnext = 1")
    check(place, repair=True)
    async with open_depot(place.parent) as depot:
        added = await depot.store.messages.add(ALICE, [make_addition(Role.INBOX, 50)])
        assert added[0].uids == (5,)
        assert len((await depot.everything())["INBOX"]) == 4
    assert check(place) == []


async def test_a_placement_of_a_lost_email_goes_and_clients_hear_of_it(place: Path) -> None:
    damage(place, "DELETE FROM email WHERE email = 2")
    assert {finding.what for finding in check(place)} >= {"lost email"}
    check(place, repair=True)
    assert check(place, deep=True) == []
    async with open_depot(place.parent) as depot:
        inbox = await depot.store.mailboxes.open_role(ALICE, Role.INBOX)
        snapshot = await depot.store.messages.snapshot(ALICE, inbox.id)
        assert list(snapshot.uids) == [3, 4]
        change = await depot.store.changes.in_mailbox(ALICE, inbox.id, ModSeq(snapshot.modseq - 1))
        assert change.expunged == (UidRange(2, 2),)


async def test_a_lost_body_is_told_with_its_emails_and_stays(place: Path) -> None:
    file = next((place / f"{SHARD}.bodies").glob("*/*"))
    octets = file.read_bytes()
    file.unlink()
    for repair in (False, True):
        found = check(place, repair=repair)
        assert [(each.what, each.is_repaired) for each in found] == [("lost body", False)]
        assert "emails 1/6" in found[0].detail
    file.write_bytes(octets[:-1])
    assert [each.what for each in check(place)] == ["lost body"]
    file.write_bytes(octets)
    assert check(place, deep=True) == []


async def test_a_changed_body_is_found_by_looking_deep(place: Path) -> None:
    file = next((place / f"{SHARD}.bodies").glob("*/*"))
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    damage(place, "UPDATE body SET octets = CAST(substr(octets, 2) || '!' AS BLOB) WHERE body = 2")
    assert check(place) == []
    assert [each.what for each in check(place, deep=True)] == ["lost body", "lost body"]


async def test_an_email_without_a_body_row_is_told(place: Path) -> None:
    damage(place, "DELETE FROM body WHERE body = 2")
    assert "1/2" in next(each for each in check(place) if each.what == "lost body").detail


async def test_a_file_that_no_row_knows_is_put_aside(place: Path) -> None:
    folder = place / f"{SHARD}.bodies" / "ab"
    folder.mkdir(exist_ok=True)
    (folder / ("ab" * 32)).write_bytes(b"perhaps somebody's mail")
    assert [each.what for each in check(place)] == ["orphan"]
    check(place, repair=True)
    assert check(place) == []
    assert (place / f"{SHARD}.lost" / ("ab" * 32)).read_bytes() == b"perhaps somebody's mail"


async def test_leftovers_of_a_crash_are_settled(place: Path) -> None:
    (place / f"{SHARD}.tmp" / "1-1").write_bytes(b"half a")
    (place / f"{SHARD}.fresh").write_bytes(b"half a copy")
    gate = ShardGate(str(place / str(SHARD)))
    gate.set_suspect()
    gate.close()
    assert [each.what for each in check(place)] == ["leftover", "suspect", "copy"]
    assert all(each.is_repaired for each in check(place, repair=True))
    assert check(place, deep=True) == []


async def test_an_index_that_lies_is_made_anew(place: Path) -> None:
    damage(
        place,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'email (body)', 'email (size)') WHERE name = 'email_body'",
    )
    damage(place, "REINDEX email_body")
    damage(
        place,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'email (size)', 'email (body)') WHERE name = 'email_body'",
    )
    assert "damaged" in {each.what for each in check(place)}
    assert {each.what: each.is_repaired for each in check(place, repair=True)}["damaged"]
    assert check(place, deep=True) == []


async def test_a_shard_in_use_is_looked_at_but_not_mended(place: Path) -> None:
    async with open_depot(place.parent) as depot:
        await depot.store.mailboxes.list_all(ALICE)
        assert await asyncio.to_thread(check, place, deep=True) == []
        assert [each.what for each in await asyncio.to_thread(check, place, repair=True)] == ["owned"]


async def test_a_file_that_is_no_database_is_told(place: Path) -> None:
    for file in place.glob(f"{SHARD}.db*"):
        file.unlink()
    (place / f"{SHARD}.db").write_bytes(b"no database" * 1000)
    assert [each.what for each in check(place)] == ["unreadable"]
    assert [each.what for each in check(place, repair=True)] == ["unreadable"]
