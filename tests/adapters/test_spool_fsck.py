"""What fsck finds in a shard, and what is left after a repair."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.fsck import check_spool
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody, NewMessage, QueuedMessage, Selection, Status


@dataclass
class Ward:
    """A closed shard with one message in the database and one in a file."""

    path: Path
    inline: str
    filed: str

    @property
    def shard(self) -> Path:
        return self.path / "0"

    def execute(self, *statements: str) -> None:
        connection = apsw.Connection(str(self.shard / "spool-1.db"))
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def find(self, *, repair: bool = False) -> list[tuple[str, bool]]:
        return [(finding.what, finding.is_repaired) for finding in check_spool(str(self.path), Files(), repair=repair)]

    def check_repair(self, *whats: str) -> None:
        """Found, changed nothing, repaired, not found again."""
        assert self.find() == [(what, False) for what in whats]
        assert self.find() == [(what, False) for what in whats]
        assert self.find(repair=True) == [(what, True) for what in whats]

    def list(self) -> list[QueuedMessage]:
        async def look() -> list[QueuedMessage]:
            pool = make_pool(self.path)
            spool = await pool.take_free_shard()
            found = await spool.find(Selection(), 100)
            await spool.close()
            pool.close()
            return found

        return asyncio.run(look())


def make_pool(path: Path) -> ShardPool:
    return ShardPool(str(path), FakeClock(), options=SpoolOptions(min_free=Space(0, 0)))


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    async def fill() -> list[str]:
        pool = make_pool(tmp_path)
        spool = await pool.take_free_shard()
        ids: list[str] = []
        for is_large in (False, True):
            writer = spool.open_body()
            await writer.write(b"x" * 200_000)
            body = await writer.finish() if is_large else InlineBody(b"hello")
            envelope = Envelope(None, (Recipient(parse_address("b@example.net")),))
            new = NewMessage(spool.reserve_id(), envelope, b"Received: x\r\n", body, Instant(1.0), Instant(300.0))
            ids.append((await spool.accept(new)).id)
            if not is_large:
                writer.discard()
        await spool.close()
        pool.close()
        return ids

    return Ward(tmp_path, *asyncio.run(fill()))


def test_a_healthy_spool_has_no_findings(ward: Ward) -> None:
    assert ward.find() == []
    assert ward.find(repair=True) == []
    assert [message.id for message in ward.list()] == [ward.inline, ward.filed]


def test_leftovers_and_orphans_are_removed(ward: Ward) -> None:
    (ward.shard / "tmp" / "123").write_bytes(b"half")
    (ward.shard / "bodies" / "456").write_bytes(b"no row")
    ward.check_repair("leftover", "orphan")
    assert ward.find() == []
    assert len(ward.list()) == 2


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
def test_a_message_whose_body_is_lost_is_held_for_a_person_to_see(ward: Ward, damage: object) -> None:
    (body,) = (ward.shard / "bodies").iterdir()
    assert callable(damage)
    damage(body)
    ward.check_repair("lost body")
    assert ward.find(repair=True) == [("lost body", False)]  # held already; nothing more can be done
    (filed,) = [message for message in ward.list() if message.id == ward.filed]
    assert filed.recipients[0].status is Status.HELD


def test_rows_without_their_message_are_removed(ward: Ward) -> None:
    ward.execute(
        "INSERT INTO body VALUES (5, x'', x'')",
        "INSERT INTO recipient SELECT 6, number, status, attempts, next_attempt, domain, local, notify, orcpt, reply,"
        " remote, next_hop FROM recipient LIMIT 1",
    )
    ward.check_repair("rows", "rows")
    assert ward.find() == []
    assert len(ward.list()) == 2


def test_a_message_without_a_body_row_is_kept_and_held(ward: Ward) -> None:
    ward.execute("DELETE FROM body WHERE data IS NOT NULL")
    assert ward.find(repair=True) == [("rows", True), ("lost body", True)]
    assert {message.id: message.recipients[0].status for message in ward.list()} == {
        ward.inline: Status.HELD,
        ward.filed: Status.WAITING,
    }


def test_an_index_that_disagrees_is_built_again(ward: Ward) -> None:
    ward.execute(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, '(domain)', '(local)') WHERE name = 'by_domain'",
    )
    assert [what for what, _ in ward.find()] == ["damaged"]
    assert ward.find(repair=True) == [("damaged", True)]
    assert ward.find() == []


def test_a_suspect_database_is_copied(ward: Ward) -> None:
    in_hand = InHand(str(ward.shard / "inhand"))
    in_hand.set_suspect(True)
    in_hand.close()
    ward.check_repair("suspect")
    assert ward.find() == []
    assert [entry.name for entry in ward.shard.glob("*.db")] == ["spool-2.db"]
    assert len(ward.list()) == 2


def test_an_unfinished_copy_is_removed(ward: Ward) -> None:
    (ward.shard / "fresh.db").write_bytes(b"half a copy")
    ward.check_repair("copy")
    assert ward.find() == []


def test_a_database_that_cannot_be_read_is_told_and_left_alone(ward: Ward) -> None:
    (ward.shard / "spool-1.db").write_bytes(b"rubbish" * 5000)
    assert ward.find(repair=True) == [("unreadable", False)]
    assert (ward.shard / "spool-1.db").read_bytes() == b"rubbish" * 5000


async def test_a_shard_in_use_is_not_touched(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    spool = await pool.take_free_shard()
    found = check_spool(str(tmp_path), Files(), repair=True)
    assert [(finding.shard, finding.what) for finding in found] == [(0, "owned")]
    await spool.close()
    pool.close()
